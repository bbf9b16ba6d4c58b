import * as pulumi from "@pulumi/pulumi";
import { applyToKnown } from "./preview";
import { isRecord } from "./shape";
import { canonicalIp } from "./address/ip";

/** The fields of an address that clients need to dial it. */
export interface Dialed {
  ipAddress: string;
  ipv6Address?: string;
  ports?: DialedPort[];
}

export interface DialedPort {
  name?: string;
  port: number;
  endPort?: number;
  protocol?: string;
}

/** The dialed fields of the addresses; they are known even while other arguments are not. */
export function dialedOf(addresses: pulumi.Input<unknown>): pulumi.Output<Dialed[]> {
  return applyToKnown<Dialed[]>(pulumi.output(addresses), (all) =>
    Array.isArray(all) ? all.map(dialed) : pulumi.isUnknown(all) ? all : [],
  );
}

function dialed(address: unknown): unknown {
  if (pulumi.isUnknown(address)) return address;
  const { ipAddress, ipv6Address, ports } = isRecord(address) ? address : {};
  return { ipAddress, ipv6Address, ports };
}

// Arguments of a wrong shape are refused where the chart is installed; the functions here must only not throw for them.

/** The first port of an address, as `ip:port`; the IP alone for a whole IP. */
export function endpointOf({ ipAddress, ports }: Dialed): string {
  return endpoint(ipAddress, listed(ports)[0]?.port);
}

/**
 * Every port as `ip:port`, under that text as key and, where only one port has its name, also under the name. A name
 * gives only the first IP of an address, because it cannot say which family the client wants.
 */
export function endpointsOf(addresses: Dialed[]): Record<string, string> {
  const ports = listed(addresses).flatMap(portsOf);
  const named = ports.filter(
    ({ name, first }) =>
      name !== undefined && ports.every((other) => other.name !== name || other.first === first),
  );
  return Object.fromEntries([
    ...ports.flatMap(({ first, second }) => [first, ...(second === undefined ? [] : [second])]).map(byItself),
    ...named.map(({ name, first }) => [name, first]),
  ]);
}

interface Reachable {
  name: string | undefined;
  first: string;
  second: string | undefined;
}

function portsOf({ ipAddress, ipv6Address, ports }: Dialed): Reachable[] {
  const at = (port?: number) => ({
    first: endpoint(ipAddress, port),
    second: ipv6Address ? endpoint(ipv6Address, port) : undefined,
  });
  const all = listed(ports);
  return all.length === 0
    ? [{ name: undefined, ...at() }]
    : all.map(({ name, port }) => ({ name, ...at(port) }));
}

/** The text `ip:port`, with an IPv6 address in brackets (RFC 3986 §3.2.2). */
export function endpoint(ipAddress: string, port: number | undefined): string {
  const ip = canonicalIp(String(ipAddress));
  if (port === undefined) return ip;
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function byItself(text: string): [string, string] {
  return [text, text];
}

function listed<T>(values: T[] | undefined): T[] {
  return Array.isArray(values) ? values : [];
}
