import type { Run } from "../component/host.ts";
import { plain } from "./plain.ts";

/** A DaemonSet whose pods a magic IP may lead to. */
export interface Target {
  namespace: string;
  labels: Record<string, string>;
  ports: { name?: string; containerPort: number; protocol?: string }[];
  ready: boolean;
}

/** One address of the chart's values. */
export interface AddressValues {
  ipAddress: string;
  namespace: string;
  selector: string;
  ports: { port: number; targetPort?: number | string; protocol?: string }[];
}

/** The DaemonSets that a program registered. */
export async function targetsOf({ registrations }: Run): Promise<Target[]> {
  const sets = registrations.filter(({ type }) => type === "kubernetes:apps/v1:DaemonSet");
  return Promise.all(sets.map(async ({ inputs }) => targetOf(await plain(inputs))));
}

/** A DaemonSet's manifest as a target. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- read by path, and a wrong path is a failing test.
export function targetOf({ metadata, spec }: any): Target {
  const { labels } = spec.template.metadata;
  const [container] = spec.template.spec.containers;
  const { namespace } = metadata;
  return { namespace, labels, ports: container.ports, ready: container.readinessProbe !== undefined };
}

/** What of an address leads nowhere: no target, or a port that its target does not have. */
export function astray(address: AddressValues, targets: Target[]): string[] {
  const [label = "", value] = address.selector.split("=");
  const found = targets.filter(
    ({ namespace, labels }) => namespace === address.namespace && labels[label] === value,
  );
  if (found.length !== 1) return [`${found.length} targets for ${address.selector} in ${address.namespace}`];
  return address.ports
    .filter(({ port, targetPort = port, protocol = "TCP" }) => {
      const fits = (each: Target["ports"][number]) =>
        [each.name, each.containerPort].includes(targetPort) && (each.protocol ?? "TCP") === protocol;
      return !found[0]?.ports.some(fits);
    })
    .map(({ port }) => `no container port for ${address.ipAddress}:${port}`);
}
