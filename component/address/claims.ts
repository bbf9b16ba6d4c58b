import type { AddressSpec } from "./spec";
import type { Fault } from "./fault";
import { canonicalIp, parseIp } from "./ip";
import { isPortNumber, type PortSpec } from "./ports";

/** Ports of an IP that one property claims. */
interface Claim {
  first: number;
  last: number;
  path: string;
}

/**
 * Finds what is claimed twice: overlapping ports of one IP and protocol, and whole IPs. A whole IP and ports of that IP
 * do not conflict: the ports have priority. The later claim gets the fault, with the earlier one's path, and is not
 * added.
 */
export class Claims {
  /**
   * Claims by IP and protocol, sorted by port. They do not overlap, so a new claim is compared with its neighbour only.
   */
  private readonly ports = new Map<string, Claim[]>();
  private readonly wholes = new Map<string, string>();

  /** Adds the address's claims; returns a fault for each that was claimed before. */
  faultsOf(address: AddressSpec, path: string): Fault[] {
    const { ports = [] } = address;
    if (ports.length === 0) return this.wholeFaults(address, path);
    return ports.flatMap((port, index) => this.portFaults(address, port, `${path}.ports[${index}].port`));
  }

  private wholeFaults(address: AddressSpec, path: string): Fault[] {
    return (["ipAddress", "ipv6Address"] as const).flatMap((field) => {
      const text = address[field];
      if (text === undefined || parseIp(text) === undefined) return [];
      const ip = canonicalIp(text);
      const taken = this.wholes.get(ip);
      this.wholes.set(ip, taken ?? `${path}.${field}`);
      if (taken === undefined) return [];
      const reason = `${ip} is taken by ${taken}, which has no ports either: list the ports of one of them, or choose another address`;
      return [{ path: `${path}.${field}`, reason }];
    });
  }

  private portFaults(address: AddressSpec, port: PortSpec, path: string): Fault[] {
    // A number that is no port has a fault of its own, and claims nothing.
    if (!isPortNumber(port.port)) return [];
    const claim = { first: port.port, last: lastOf(port), path };
    const protocol = port.protocol ?? "TCP";
    const ips = ipsOf(address);
    for (const ip of ips) {
      const taken = overlapping(this.of(ip, protocol), claim);
      if (taken) return [{ path, reason: takenReason(ip, protocol, claim, taken) }];
    }
    for (const ip of ips) insert(this.of(ip, protocol), claim);
    return [];
  }

  private of(ip: string, protocol: string): Claim[] {
    const key = `${ip} ${protocol}`;
    const claims = this.ports.get(key) ?? [];
    this.ports.set(key, claims);
    return claims;
  }
}

/** The address's IPs; a text that is no IP stands for itself: two ports of one address may still be the same. */
function ipsOf({ ipAddress, ipv6Address }: AddressSpec): string[] {
  const both = ipv6Address === undefined ? [ipAddress] : [ipAddress, ipv6Address];
  return [...new Set(both.map(canonicalIp))];
}

function lastOf({ port, endPort }: PortSpec): number {
  return endPort !== undefined && isPortNumber(endPort) && endPort > port ? endPort : port;
}

function takenReason(ip: string, protocol: string, { first, last }: Claim, taken: Claim): string {
  const range = first === last ? `${first}` : `${first}-${last}`;
  const host = ip.includes(":") ? `[${ip}]` : ip;
  const dialed = parseIp(ip) === undefined ? `${range}/${protocol}` : `${host}:${range}/${protocol}`;
  const part =
    taken.first === first && taken.last === last
      ? ""
      : ` (${taken.first === taken.last ? taken.first : `${taken.first}-${taken.last}`})`;
  return `${dialed} is taken by ${taken.path}${part}: a port can lead to one target only`;
}

function overlapping(claims: Claim[], { first, last }: Claim): Claim | undefined {
  const next = claims[indexAfter(claims, first)];
  return next !== undefined && next.first <= last ? next : undefined;
}

function insert(claims: Claim[], claim: Claim): void {
  claims.splice(indexAfter(claims, claim.first), 0, claim);
}

/** The index of the first claim that ends at the port or after it. */
function indexAfter(claims: Claim[], port: number): number {
  let [low, high] = [0, claims.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((claims[middle]?.last ?? Infinity) < port) low = middle + 1;
    else high = middle;
  }
  return low;
}
