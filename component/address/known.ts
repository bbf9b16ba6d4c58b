import type { AddressSpec } from "./spec";
import type { PortSpec } from "./ports";

/** An address of which not all is known or readable. */
export interface KnownAddress<Port = Partial<PortSpec>> extends Partial<Omit<AddressSpec, "ports">> {
  ports?: (Port | undefined)[] | undefined;
}

/**
 * The address as it can be checked: what is not known gets a value that is wrong and that nothing else has, so that it takes
 * nobody's port. Whoever asks for faults passes over those of what is not known.
 */
export function standIn(address: KnownAddress | undefined, index: number): AddressSpec {
  return {
    ...address,
    ipAddress: address?.ipAddress ?? `unknown ${index}`,
    selector: address?.selector ?? "unknown",
    ports: (portsOf(address) ?? []).map((port, position) => ({ ...port, port: port?.port ?? -1 - position })),
  };
}

/** Without ports an address is a whole IP; it has one that is not known where its ports are there, but not known. */
function portsOf(address: KnownAddress = { ports: undefined }): KnownAddress["ports"] {
  return Object.hasOwn(address, "ports") ? (address.ports ?? [undefined]) : undefined;
}
