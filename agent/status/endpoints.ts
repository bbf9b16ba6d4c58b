import type { Logger } from "pino";
import type { Config } from "../config/config.ts";
import type { Event } from "../kubernetes/event.ts";
import { serveHealth, serveMetrics } from "./health.ts";
import type { Backend } from "../kernel.ts";
import type { Status } from "./status.ts";
import { version } from "../version.ts";

/** What the endpoints report, and where their own failures are reported. */
export interface EndpointParts {
  config: Config;
  backend: Backend;
  log: Logger;
  post(event: Event): void;
  /** Called when this process listens on the health port: the kubelet's probes reach it until the process ends. */
  holdsHealthPort?(): void;
}

/** Serves the health endpoints, and /metrics on its own port. An unavailable port stops nothing else of the agent. */
export async function serveEndpoints(
  parts: EndpointParts,
  status: Status,
  signal: AbortSignal,
): Promise<void> {
  const { config, backend, log } = parts;
  const source = { version, report: () => status.report(), counts: () => backend.counts() };
  const failed = (error: unknown) => log.error({ err: error }, "a health endpoint could not answer");
  const metrics = portTrouble({ status, log, part: "metrics", served: "/metrics is served now" });
  const health = portTrouble({
    ...{ status, log, part: "health", served: "the health endpoints are served now" },
    lasting: (message) => parts.post({ reason: "MagicIpHealthPort", message }),
  });
  const toldHealth = (message: string | undefined) => {
    health(message);
    if (message === undefined) parts.holdsHealthPort?.();
  };
  const { healthPort, metricsPort } = config;
  await Promise.all([
    serveHealth({ port: healthPort, source, trouble: toldHealth, failed }, signal),
    metricsPort && serveMetrics({ port: metricsPort, source, trouble: metrics, failed }, signal),
  ]);
}

/** How the state of a port is reported. */
interface PortTold {
  status: Status;
  log: Logger;
  part: string;
  /** The log message when the port becomes available after a failure. */
  served: string;
  /** Called once for a failure that lasts longer than an ending agent holds its port beside the next agent. */
  lasting?(message: string): void;
}

/** Milliseconds. */
const lastingTrouble = 10_000;

/** Reports an unavailable port. It does not make the agent unready, because the addresses work without the port. */
function portTrouble({ status, log, part, served, lasting }: PortTold) {
  let since: number | undefined;
  let posted = false;
  return (message: string | undefined): void => {
    if (status.trouble(part, message) && message !== undefined) log.warn(`${message}; it is tried again`);
    if (message === undefined) {
      if (since !== undefined) log.info(served);
      [since, posted] = [undefined, false];
      return;
    }
    since ??= performance.now();
    if (posted || performance.now() - since < lastingTrouble) return;
    posted = true;
    lasting?.(message);
  };
}
