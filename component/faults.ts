import { agentFaults, type KnownAgent } from "./agentFaults";
import { sizeFaults } from "./configSize";
import { installationShape } from "./installationShape";
import type { Subject } from "./refusal";
import { examine } from "./shape";
import { type AddressSpec, addressFaults, type Fault } from "./spec/address";

/** The arguments of an installation, as far as they are known. */
export interface Known {
  addresses?: (KnownAddress | undefined)[];
  agent?: KnownAgent;
  values?: Record<string, unknown>;
}

export interface KnownAddress extends Partial<Omit<AddressSpec, "ports">> {
  ports?: (KnownPort | undefined)[];
}

interface KnownPort {
  name?: string;
  port?: number;
  endPort?: number;
  targetPort?: number;
  targetPortName?: string;
  protocol?: string;
}

/**
 * Every fault of an installation's arguments, with the path of the argument. Arguments that are not known yet (Outputs,
 * promises) are passed over: they are checked when they are.
 */
export function argumentFaults({ name, pathOf }: Subject, args: unknown): Fault[] {
  const { plain, faults, unchecked } = examine(args, installationShape);
  const known = (plain ?? {}) as Known;
  const consequences = [
    ...specFaults(known.addresses ?? [], known.agent),
    ...targetPortFaults(known.addresses ?? []),
    ...agentFaults(known.agent),
    ...valuesFaults(known.values),
    ...sizeFaults(known),
  ];
  const isChecked = ({ path }: Fault) => !unchecked.some((hidden) => overlap(hidden, path));
  const byPath = (a: Fault, b: Fault) => a.path.localeCompare(b.path, "en", { numeric: true });
  const all = [...nameFaults(name), ...[...faults, ...consequences.filter(isChecked)].sort(byPath)];
  return all.map(({ path, reason }) => ({ path, reason: pathOf(reason) }));
}

/** What is known of an installation's arguments. */
export function knownOf(args: unknown): Known {
  return examine(args, installationShape).plain ?? {};
}

/** The name becomes that of the release (Helm: at most 53 characters), the DaemonSet, and a label's value. */
function nameFaults(name: string): Fault[] {
  if (/^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$/.test(name)) return [];
  return [
    {
      path: "name",
      reason: `"${name}" cannot name a DaemonSet: at most 53 lower-case letters, digits and "-", as dd-agent`,
    },
  ];
}

/** Where a port has a targetPortName, that is what a fault of its target port is about. */
function specFaults(addresses: NonNullable<Known["addresses"]>, agent: KnownAgent = {}): Fault[] {
  const allowedCidrs = (agent.allowedCidrs ?? []).map((cidr) => cidr ?? "unknown");
  return addressFaults(addresses.map(toSpec), allowedCidrs).map((fault) => {
    if (fault.path.startsWith("allowedCidrs")) return { ...fault, path: `agent.${fault.path}` };
    const [, i, j] = /^addresses\[(\d+)\]\.ports\[(\d+)\]\.targetPort$/.exec(fault.path) ?? [];
    const isNamed = addresses[Number(i)]?.ports?.[Number(j)]?.targetPortName !== undefined;
    return isNamed ? { ...fault, path: `${fault.path}Name` } : fault;
  });
}

/**
 * What is not known gets a value that is wrong and that nothing else has: its own fault is passed over, and it takes
 * nobody's port.
 */
export function toSpec(address: KnownAddress | undefined, index: number): AddressSpec {
  return {
    ...address,
    ipAddress: address?.ipAddress ?? `unknown ${index}`,
    selector: address?.selector ?? "unknown",
    ports: (portsOf(address) ?? []).map((port, position) => ({
      ...port,
      port: port?.port ?? -1 - position,
      targetPort: port?.targetPortName ?? port?.targetPort,
    })),
  };
}

/** Without ports an address is a whole IP; it has one that is not known where its ports are there, but not known. */
function portsOf(address: KnownAddress = { ports: undefined }): KnownAddress["ports"] {
  return Object.hasOwn(address, "ports") ? (address.ports ?? [undefined]) : undefined;
}

function targetPortFaults(addresses: NonNullable<Known["addresses"]>): Fault[] {
  return addresses.flatMap((address, i) =>
    (address?.ports ?? []).flatMap((port, j) =>
      port?.targetPort === undefined || port.targetPortName === undefined
        ? []
        : [
            {
              path: `addresses[${i}].ports[${j}].targetPortName`,
              reason: `"${port.targetPortName}" is set beside targetPort ${port.targetPort}: set one of them`,
            },
          ],
    ),
  );
}

function valuesFaults(values: Known["values"]): Fault[] {
  if (values?.fullnameOverride === undefined) return [];
  return [
    {
      path: "values.fullnameOverride",
      reason: "cannot be set: the component's own name is that of the DaemonSet, and its output says so",
    },
  ];
}

/** Whether one path is the other or a part of it. */
function overlap(a: string, b: string): boolean {
  const within = (inner: string, outer: string) =>
    inner === outer || inner.startsWith(`${outer}.`) || inner.startsWith(`${outer}[`);
  return within(a, b) || within(b, a);
}
