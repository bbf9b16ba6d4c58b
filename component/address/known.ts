import type { AddressSpec } from "./spec";
import type { PortSpec } from "./ports";

/** An address with fields that may be unknown or unreadable. */
export interface KnownAddress<Port = Partial<PortSpec>> extends Partial<Omit<AddressSpec, "ports">> {
  ports?: (Port | undefined)[] | undefined;
}

/**
 * The address in a form that can be checked: an unknown IP or port gets a value that is wrong and unique, so that it
 * takes no port of another address. The caller skips the faults of unknown fields.
 */
export function standIn(address: KnownAddress | undefined, index: number): AddressSpec {
  return {
    ...address,
    ipAddress: address?.ipAddress ?? `unknown ${index}`,
    selector: address?.selector ?? "unknown",
    ports: (portsOf(address) ?? []).map((port, position) => ({ ...port, port: port?.port ?? -1 - position })),
  };
}

/** The ports: none for a whole IP, and one unknown port where the ports are given but not known. */
function portsOf(address: KnownAddress = { ports: undefined }): KnownAddress["ports"] {
  return Object.hasOwn(address, "ports") ? (address.ports ?? [undefined]) : undefined;
}
