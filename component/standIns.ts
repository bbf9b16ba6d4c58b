import type { Known, KnownAddress } from "./faults";
import { Claims } from "./address/claims";
import { canonicalIp } from "./address/ip";
import { formatIpv4, parseIpv4 } from "./address/ipv4";

// Stand-ins for addresses and ports that are not known at a preview. The chart compares them with the known ones, so a
// stand-in uses no IP and no port that is known: else the preview would refuse what `pulumi up` accepts.

/** Stands for a text that is not known before the update; it is a valid name and label. */
export const KNOWN_LATER = "known-after-up";

type KnownPort = NonNullable<KnownAddress["ports"]>[number];
type WrittenPort = NonNullable<KnownPort> & { port: number };

/** An address with its IP and its selector; its ports may still have unknown fields. */
interface Placed extends Omit<KnownAddress, "ipAddress" | "selector"> {
  ipAddress: string;
  selector: string;
}

/** The addresses, with a stand-in for each unknown value that the chart needs: IPs, selectors, namespaces, ports. */
export function withStandIns(addresses: NonNullable<Known["addresses"]>): Placed[] {
  const placed = withIps(addresses);
  const claims = new Claims();
  // Known ports are claimed first, whatever their position, so that no stand-in takes one of them.
  placed.forEach((address) => {
    const written = (address.ports ?? []).filter(isWritten);
    if (written.length > 0) claims.faultsOf({ ...address, ports: written }, "");
  });
  return placed.map((address) => {
    if (!Object.hasOwn(address, "ports")) return address;
    const ports = (address.ports ?? [undefined]).map((port) => withFreePort(claims, address, port));
    return { ...address, ports };
  });
}

function withIps(addresses: NonNullable<Known["addresses"]>): Placed[] {
  const taken = new Set(addresses.flatMap((each) => [each?.ipAddress, each?.ipv6Address].flatMap(canonical)));
  return addresses.map((address = { ports: undefined }) => {
    const ipAddress = address.ipAddress ?? freeIp(taken);
    taken.add(ipAddress);
    return {
      ...address,
      ipAddress,
      selector: address.selector ?? KNOWN_LATER,
      ...(Object.hasOwn(address, "namespace") && { namespace: address.namespace ?? KNOWN_LATER }),
    };
  });
}

function canonical(ip: string | undefined): string[] {
  return ip === undefined ? [] : [canonicalIp(ip)];
}

/** A free address of 198.18.0.0/15, which RFC 2544 reserves for benchmarks, so that no host has it. */
function freeIp(taken: Set<string>): string {
  let value = parseIpv4("198.18.0.0") ?? 0;
  while (taken.has(formatIpv4(value))) value++;
  return formatIpv4(value);
}

function isWritten(port: KnownPort): port is WrittenPort {
  return port?.port !== undefined && !hidesProtocol(port);
}

/** Whether the protocol is given but not known, so that it may be any; an absent one is TCP. */
function hidesProtocol(port: object): boolean {
  return Object.hasOwn(port, "protocol") && (port as { protocol?: string }).protocol === undefined;
}

/**
 * The port, with a free number and protocol where they are not known. A range without its first port loses its last.
 */
function withFreePort(claims: Claims, address: Placed, port: KnownPort = {}): KnownPort {
  if (isWritten(port)) return port;
  const protocols = hidesProtocol(port) ? ["TCP", "UDP", "SCTP"] : [port.protocol];
  const candidates = port.port === undefined ? numbersDown() : [port.port];
  for (const number of candidates) {
    for (const protocol of protocols) {
      const endPort = port.port === undefined ? undefined : port.endPort;
      const candidate = { ...port, port: number, endPort, protocol };
      if (claims.faultsOf({ ...address, ports: [candidate] }, "").length === 0) return candidate;
    }
  }
  // Every candidate is taken: the chart refuses the port, as it would at `pulumi up`.
  return { ...port, port: port.port ?? 65535 };
}

function* numbersDown(): Generator<number> {
  for (let number = 65535; number > 0; number--) yield number;
}
