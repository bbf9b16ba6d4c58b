import type { Known, KnownAddress } from "./faults";
import { Claims } from "./address/claims";
import { canonicalIp } from "./address/ip";
import { formatIpv4, parseIpv4 } from "./address/ipv4";

// What the preview's chart gets in the place of addresses and ports that are not known. The chart compares them with what is
// written, so a stand-in takes no IP and no port that is written: else the preview refuses what `pulumi up` would take.

/** Stands for a text that is not known before the update; it is a valid name and label. */
export const KNOWN_LATER = "known-after-up";

type KnownPort = NonNullable<KnownAddress["ports"]>[number];
type WrittenPort = NonNullable<KnownPort> & { port: number };

/** An address that has its IP and its selector; its ports may still lack something. */
interface Placed extends Omit<KnownAddress, "ipAddress" | "selector"> {
  ipAddress: string;
  selector: string;
}

/** The addresses, with something in each place that the chart needs: IPs, selectors, namespaces, ports. */
export function withStandIns(addresses: NonNullable<Known["addresses"]>): Placed[] {
  const placed = withIps(addresses);
  const claims = new Claims();
  // What is written comes first, wherever it stands: no stand-in then takes it.
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

/** Of 198.18.0.0/15, which RFC 2544 gives to benchmarks: an address of no host. */
function freeIp(taken: Set<string>): string {
  let value = parseIpv4("198.18.0.0") ?? 0;
  while (taken.has(formatIpv4(value))) value++;
  return formatIpv4(value);
}

function isWritten(port: KnownPort): port is WrittenPort {
  return port?.port !== undefined && !hidesProtocol(port);
}

/** TCP where it is left out; where it is there and not known, any. */
function hidesProtocol(port: object): boolean {
  return Object.hasOwn(port, "protocol") && (port as { protocol?: string }).protocol === undefined;
}

/** The port, with a number and a protocol that are free where they are not known. A range needs both its ends. */
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
  // All are written already: the chart's refusal is then that of `pulumi up`, too.
  return { ...port, port: port.port ?? 65535 };
}

function* numbersDown(): Generator<number> {
  for (let number = 65535; number > 0; number--) yield number;
}
