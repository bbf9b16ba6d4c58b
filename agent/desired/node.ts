import { type Cidr, cidrContains, parseCidr } from "../../component/address/cidr.ts";
import { type Ip, parseIp } from "../../component/address/ip.ts";
import { formatIpv4 } from "../../component/address/ipv4.ts";
import { formatIpv6 } from "../../component/address/ipv6.ts";
import { wide } from "./network.ts";

/** The facts about the agent's node that the rules depend on. */
export interface NodeFacts {
  /** The name of the Kubernetes node. */
  name: string;
  /** Interfaces that lead outside, by a default route or otherwise: packets from them come from outside the node. */
  uplinks: string[];
  /** The same by index, which a rename does not change; absent where only /proc could be read. */
  uplinkIndexes?: number[];
  /** Whether bridged packets pass through netfilter (`net.bridge.bridge-nf-call-iptables`, `-ip6tables`). */
  bridgeNetfilter: { ipv4: boolean; ipv6: boolean };
  /** Why some facts could not be read; the last known ones are used instead. */
  trouble?: string;
  /** Whether conntrack picks up established connections (`nf_conntrack_tcp_loose`, by default on); absent: true. */
  tcpLoose?: boolean;
}

/** A route of the node's main table; for IPv6 also of the local table. */
export interface Route {
  /** For example `10.9.0.0/24`. */
  range: string;
  bits: number;
  block: Cidr;
  /** `local`: the node itself has the address; `reject`: unreachable, prohibit or blackhole. */
  kind: "unicast" | "local" | "reject";
  /** Undefined where the route has none. */
  interface: string | undefined;
}

/** RTF_UP and RTF_REJECT of the kernel's route.h, RTF_LOCAL of its ipv6_route.h. */
const flag = { up: 0x1, reject: 0x200, local: 0x8000_0000 };

/**
 * Reads /proc/net/route. The kernel prints addresses as numbers in the processor's byte order. For a route with several
 * next hops it prints only the interface of the first.
 */
export function parseIpv4Routes(text: string, littleEndian: boolean): Route[] {
  return text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [name = "", destination = "", , flags = "", , , , mask = ""] = line.trim().split(/\s+/);
      if (mask === "" || !isUp(flags)) return [];
      const range = `${ipv4(destination, littleEndian)}/${ones(mask)}`;
      // A blackhole route has no interface, and no flag marks it.
      const kind = name === "*" || has(flags, flag.reject) ? "reject" : "unicast";
      return route(range, kind, name);
    });
}

/** Reads /proc/net/ipv6_route, without the multicast routes that every interface has. */
export function parseIpv6Routes(text: string): Route[] {
  return text.split("\n").flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [destination = "", bits = "", , , , , , , flags = "", name = ""] = fields;
    if (name === "" || !isUp(flags, "reject") || destination.startsWith("ff")) return [];
    const range = `${formatIpv6(BigInt(`0x${destination}`))}/${parseInt(bits, 16)}`;
    const kind = has(flags, flag.local) ? "local" : has(flags, flag.reject) ? "reject" : "unicast";
    return route(range, kind, name);
  });
}

/**
 * Reads the node's IPv4 addresses from /proc/net/fib_trie. Unlike a list of interfaces, it also has the addresses of
 * interfaces that are down, such as kube-proxy's kube-ipvs0. Each block appears twice where two tables share a trie.
 */
export function parseIpv4Addresses(text: string): Route[] {
  const ranges = [...text.matchAll(/\|-- (\S+)((?:\n\s+\/\d+ .*)+)/g)].flatMap(([, address, kinds = ""]) =>
    [...kinds.matchAll(/\/(\d+) \S+ LOCAL/g)].map(([, bits]) => `${address}/${bits}`),
  );
  return [...new Set(ranges)].flatMap((range) => route(range, "local", undefined));
}

/**
 * The interfaces with a default route, or with a part of one as some VPNs have. /proc/net/ipv6_route does not name the
 * routing table, so an IPv6 default route counts only where IPv4 has no default route or no route by this interface.
 */
export function uplinks(routes: Route[]): string[] {
  const ofFamily = (family: "ipv4" | "ipv6") => routes.filter(({ block }) => block.family === family);
  const names = (some: Route[]) => new Set(some.flatMap(({ interface: name }) => name ?? []));
  const [ipv4, ipv6] = [ofFamily("ipv4"), ofFamily("ipv6")].map((some) => names(some.filter(isDefault)));
  const others = ipv4 !== undefined && ipv4.size > 0 ? names(ofFamily("ipv4")) : new Set<string>();
  const found = new Set([...(ipv4 ?? []), ...(ipv6?.difference(others) ?? [])]);
  return [...found].filter((name) => name !== "lo").sort();
}

/** A default route, or a part of one. */
export function isDefault({ bits, kind }: Route): boolean {
  return bits <= wide && kind === "unicast";
}

/** The routes that contain an address; the first is the one that the kernel uses. */
export function routesTo(address: string, routes: Route[]): Route[] {
  const ip: Ip | undefined = parseIp(address);
  if (ip === undefined) return [];
  return routes.filter(({ block }) => cidrContains(block, ip)).sort((a, b) => b.bits - a.bits);
}

/** Whether an interface's name is safe in the input of every tool; the kernel allows nearly any byte. */
export function isPlain(name: string): boolean {
  return /^[A-Za-z0-9_.@:-]+$/.test(name);
}

/** Whether a switch of /proc/sys is on. A missing one belongs to a module that is not loaded, and counts as off. */
export function isOn(sysctl: string | undefined): boolean {
  return sysctl !== undefined && sysctl.trim() !== "" && sysctl.trim() !== "0";
}

function route(range: string, kind: Route["kind"], name: string | undefined): Route[] {
  const block = parseCidr(range);
  if (block === undefined) return [];
  const bits = Number(range.split("/")[1]);
  return [{ range, bits, block, kind, interface: name === "*" ? undefined : name }];
}

/** The kernel clears RTF_UP of an IPv6 route only where the route also rejects. */
function isUp(flags: string, or?: "reject"): boolean {
  return has(flags, flag.up) || (or !== undefined && has(flags, flag.reject));
}

function has(flags: string, bit: number): boolean {
  return Math.floor(parseInt(flags, 16) / bit) % 2 === 1;
}

function ipv4(hex: string, littleEndian: boolean): string {
  const bytes = hex.match(/../g) ?? [];
  return formatIpv4(parseInt((littleEndian ? bytes.reverse() : bytes).join(""), 16));
}

function ones(hex: string): number {
  return parseInt(hex, 16).toString(2).replaceAll("0", "").length;
}
