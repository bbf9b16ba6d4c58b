import { agentFaults, type KnownAgent } from "./agentFaults";
import { sizeFaults } from "./configSize";
import { installationShape, oneAddressShape } from "./installationShape";
import type { Subject } from "./refusal";
import { examine } from "./shape";
import { shown } from "./shown";
import { addressFaults, type Fault } from "./address/address";
import type { AddressSpec } from "./address/spec";
import { type KnownAddress as KnownSpec, standIn } from "./address/known";
import { byPath, overlaps } from "./address/path";
import { valuesFaults } from "./valuesFaults";

/** The arguments of an installation, as far as they are known. */
export interface Known {
  addresses?: (KnownAddress | undefined)[];
  agent?: KnownAgent;
  values?: Record<string, unknown>;
}

export type KnownAddress = KnownSpec<KnownPort>;

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
 * promises) are skipped now and checked when they are known.
 */
export function argumentFaults({ name, alone, pathOf }: Subject, args: unknown): Fault[] {
  const { plain, faults, unchecked } = examine(args, alone ? oneAddressShape : installationShape);
  const known = (plain ?? {}) as Known;
  const consequences = [
    ...specFaults(known.addresses ?? [], known.agent),
    ...targetPortFaults(known.addresses ?? []),
    ...agentFaults(known.agent),
    ...valuesFaults(known.values, alone),
    ...sizeFaults(known),
  ];
  const isChecked = ({ path }: Fault) => !unchecked.some((hidden) => overlaps(hidden, path));
  const all = [...nameFaults(name), ...[...faults, ...consequences.filter(isChecked)].sort(byPath)];
  return all.map(({ path, reason }) => ({ path, reason: pathOf(reason) }));
}

/** The known part of an installation's arguments. */
export function knownOf(args: unknown): Known {
  return examine(args, installationShape).plain ?? {};
}

/** The name is used for the release (Helm: at most 53 characters), for the DaemonSet, and as a label's value. */
function nameFaults(name: string | undefined): Fault[] {
  if (typeof name !== "string") {
    const fault = name === undefined ? "is missing" : `${shown(name)} is not a string`;
    return [{ path: "name", reason: `${fault}: write the name of the DaemonSet, as "dd-agent"` }];
  }
  if (/^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$/.test(name)) return [];
  return [
    {
      path: "name",
      reason: `"${name}" cannot name a DaemonSet: at most 53 lower-case letters, digits and "-", as dd-agent`,
    },
  ];
}

/**
 * The faults of the shared rules. Where a port has a targetPortName, a fault of `targetPort` gets that name as its
 * path.
 */
function specFaults(addresses: NonNullable<Known["addresses"]>, agent: KnownAgent = {}): Fault[] {
  const allowedCidrs = (agent.allowedCidrs ?? []).map((cidr) => cidr ?? "unknown");
  return addressFaults(addresses.map(toSpec), allowedCidrs).map((fault) => {
    if (fault.path.startsWith("allowedCidrs")) return { ...fault, path: `agent.${fault.path}` };
    const [, i, j] = /^addresses\[(\d+)\]\.ports\[(\d+)\]\.targetPort$/.exec(fault.path) ?? [];
    const isNamed = addresses[Number(i)]?.ports?.[Number(j)]?.targetPortName !== undefined;
    return isNamed ? { ...fault, path: `${fault.path}Name` } : fault;
  });
}

/** The address for the shared rules, which have one target port, a number or a name; unknown values get stand-ins. */
export function toSpec(address: KnownAddress | undefined, index: number): AddressSpec {
  if (address?.ports === undefined) return standIn(address, index);
  const ports = address.ports.map((port, position) => {
    if (port === undefined) return undefined;
    // An unknown protocol gets a unique value, so that it conflicts with no other port; an absent one is TCP.
    const isHidden = Object.hasOwn(port, "protocol") && port.protocol === undefined;
    const protocol = isHidden ? `unknown ${index} ${position}` : port.protocol;
    return { ...port, targetPort: port.targetPortName ?? port.targetPort, protocol };
  });
  return standIn({ ...address, ports }, index);
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
