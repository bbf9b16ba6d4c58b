import { isRecord } from "./shape";
import type { Fault } from "./address/fault";

/** The annotation of an agent's pod that holds the configuration. */
const CONFIG = "magic-ip-address/config";

/**
 * The most bytes that the annotations of an agent's pod may have. The API server allows 262,144 for all keys and values
 * (TotalAnnotationSizeLimitB of apimachinery); 4,096 of them stay free for annotations that `kubectl rollout restart`
 * and admission add later. The chart has the same limit.
 */
export const ANNOTATION_LIMIT = 258_048;

interface Arguments {
  addresses?: unknown[];
  agent?: object;
}

/**
 * The faults of arguments that do not fit into the annotations of the agent's pods. The addresses are counted as the
 * chart writes them. The chart adds 200 bytes or more of the installation's own fields and what `values` set, and
 * refuses a sum that is too large.
 */
export function sizeFaults({ addresses = [], agent }: Arguments): Fault[] {
  const { podAnnotations: others = {} } = (agent ?? {}) as { podAnnotations?: Record<string, unknown> };
  return [...overwriteFaults(others), ...tooBigFaults(addresses, others)];
}

function overwriteFaults(podAnnotations: Record<string, unknown>): Fault[] {
  if (!Object.hasOwn(podAnnotations, CONFIG)) return [];
  const reason =
    "holds the agent's configuration, which the chart writes: leave it out, and set the addresses";
  return [{ path: `agent.podAnnotations.${CONFIG}`, reason }];
}

function tooBigFaults(addresses: unknown[], podAnnotations: Record<string, unknown>): Fault[] {
  const written = { ...podAnnotations, [CONFIG]: JSON.stringify(addresses.map(addressAsWritten)) };
  const texts = Object.entries(written).flatMap(([key, value]) => [key, String(value)]);
  const size = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (size <= ANNOTATION_LIMIT) return [];
  const parts = Math.ceil(size / ANNOTATION_LIMIT);
  const reason = `the configuration has ${size} bytes, with podAnnotations, and the annotations of an agent's pod may have ${ANNOTATION_LIMIT} (Kubernetes takes 262144; 4096 stay free for what is added later): install the addresses as ${parts} components`;
  return [{ path: addresses.length === 1 ? "addresses[0].ports" : "addresses", reason }];
}

/** The address as the chart writes it: without what is off, and with one field for a target port's number or name. */
function addressAsWritten(address: unknown): unknown {
  if (!isRecord(address)) return undefined;
  const { ports, ...others } = address;
  return given({ ...others, ports: Array.isArray(ports) ? ports.map(portAsWritten) : undefined });
}

function portAsWritten(port: unknown): unknown {
  if (!isRecord(port)) return undefined;
  const { targetPortName, targetPort, ...others } = port;
  return given({ ...others, targetPort: targetPortName ?? targetPort });
}

/** The fields without falsy values, which are the defaults. */
function given(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => Boolean(value)));
}
