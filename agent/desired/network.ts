/** An interface of the node, and where it leads. */
export interface Link {
  index: number;
  /** For messages only, because the kernel allows nearly any byte. */
  name: string;
  /** The kernel's rtnl_link_ops: `veth`, `bridge`, …; empty for a physical interface and for loopback. */
  kind: string;
  /** The index of the bridge that it is a port of; 0: none. */
  master: number;
  /** The index of a veth's other end; 0: not in this network namespace. */
  peer: number;
  /** Whether its other end is in another network namespace, such as a pod's. */
  elsewhere: boolean;
  ipv4?: Ways;
  ipv6?: Ways;
}

/** The unicast routes of one family through a link. */
export interface Ways {
  /** The smallest prefix length: 0 where there is a default route. */
  widest: number;
  /** Whether one of them leads to at most four addresses on the link itself, such as a pod's address. */
  host: boolean;
}

/** Where the kernel routes packets to a pod. */
export interface PodRoute {
  pod: string;
  /** `none`: there is no usable route. */
  type: "unicast" | "local" | "none";
  /** The index of the link that the route uses, and its prefix length (below); both 0 without a route. */
  link: number;
  bits: number;
}

/** A routing policy rule that routes packets from one interface elsewhere than to the pod. */
export interface Diversion {
  interface: string;
  priority: number;
  table: number;
  pod: string;
  /** The index of the link that they take instead; 0: none. */
  link: number;
}

/** The node's links and routes to pods, as `magic-ip-netlink routes` reports them. */
export interface Network {
  links: Link[];
  pods: PodRoute[];
  diversions: Diversion[];
}

/** Whether links are inside or outside, by their index; kept from one look to the next. */
export type Judgements = ReadonlyMap<number, "inside" | "outside">;

/**
 * A route to a sixteenth of all addresses or more counts as a default route: VPNs split the default route into halves,
 * and IPv6's default route may be 2000::/3. No pod network is that large.
 */
export const wide = 4;

/**
 * Kinds of links that may lead to pods. All others are outside: a physical interface, a VLAN, a macvlan (its pods
 * belong to the outside network), a tunnel, a tun (a VPN's peers).
 */
export const podKinds = ["veth", "bridge", "netkit", "dummy", "openvswitch"];

/** Kinds of bridge ports that lead to machines, not to pods. Other ports may belong to an overlay network. */
const wires = ["", "vlan", "bond", "team", "macvlan", "hsr", "wlan"];

/** Reads the lines of `magic-ip-netlink routes`. */
export function parseNetwork(text: string): Network {
  const network: Network = { links: [], pods: [], diversions: [] };
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const { link = 0, name, kind = "", master = 0, ipv4, ipv6, ...other } = parse(line);
    const { peer = 0, elsewhere = false, pod = "", type, bits = 0, rule, priority = 0, table = 0 } = other;
    if (name !== undefined) {
      const ways = { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
      const place = { master, peer, elsewhere, ...ways };
      network.links.push({ index: link, name: shown(name), kind: shown(kind), ...place });
    } else if (rule !== undefined) {
      network.diversions.push({ interface: shown(rule), priority, table, pod, link });
    } else if (pod !== "") {
      network.pods.push({ pod, type: types.get(type) ?? "none", link, bits });
    }
  }
  return network;
}

/** RTN_UNICAST and RTN_LOCAL of the kernel's rtnetlink.h; other types are no usable route. */
const types = new Map<number | undefined, PodRoute["type"]>([
  [1, "unicast"],
  [2, "local"],
]);

interface Line {
  link?: number;
  name?: string;
  kind?: string;
  master?: number;
  peer?: number;
  elsewhere?: boolean;
  ipv4?: Ways;
  ipv6?: Ways;
  pod?: string;
  type?: number;
  bits?: number;
  rule?: string;
  priority?: number;
  table?: number;
}

function parse(line: string): Line {
  return JSON.parse(line) as Line;
}

/** A name has one character for each byte; invalid UTF-8 and control characters are shown as question marks. */
function shown(name: string): string {
  const text = new TextDecoder().decode(Uint8Array.from(name, (byte) => byte.charCodeAt(0)));
  return text.replace(/[\p{C}\uFFFD]/gu, "?");
}

/**
 * Judges links as inside or outside; a link without a judgement is what its kind says. A link of a pods' kind with a
 * route to a live pod is inside. Without such a route, a link that leads to other machines is outside. A judgement
 * stays as long as its link, except that a route to a live pod overrules `outside`: an uplink stays one while its
 * default route is missing, and pods' links stay inside while no target is on the node.
 */
export function judge(network: Network, before: Judgements = new Map()): Judgements {
  const live = linksToPods(network);
  const judged = new Map<number, "inside" | "outside">();
  for (const link of network.links) {
    const known = before.get(link.index);
    if (live.has(link.index) || known === "inside") judged.set(link.index, "inside");
    else if (known === "outside" || leadsOutside(link, network)) judged.set(link.index, "outside");
  }
  return judged;
}

/** The links judged as outside, in a stable order. */
export function outsideLinks({ links }: Network, judgements: Judgements): Link[] {
  return links
    .filter(({ index }) => judgements.get(index) === "outside")
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Whether the guard drops packets that come in by the link. */
export function isOutside(link: Link, judgements: Judgements): boolean {
  return !podKinds.includes(link.kind) || judgements.get(link.index) === "outside";
}

/**
 * Links of a pods' kind with a route to a live pod that is no default route. A veth must lead to the pod alone, or have
 * its other end on this node, such as a bridge's gateway; a veth to a network in another namespace is an uplink.
 */
function linksToPods({ links, pods }: Network): Set<number> {
  const routes = pods.filter(({ type, bits }) => type === "unicast" && bits > wide);
  const leads = ({ index, kind, elsewhere }: Link) =>
    podKinds.includes(kind) &&
    routes.some(
      ({ pod, link, bits }) =>
        link === index && (kind !== "veth" || !elsewhere || isFew(pod.includes(":"), bits)),
    );
  return new Set(links.filter(leads).map(({ index }) => index));
}

/** True for a default route, a bridge with a wired port, or a veth to a network elsewhere, as on nodes of kind. */
function leadsOutside(link: Link, network: Network): boolean {
  if (hasDefault(link.ipv4)) return true;
  if (hasDefault(link.ipv6)) return !isAdvertised(link, network);
  if (link.kind === "bridge") return isWired(link, network);
  return link.kind === "veth" && link.elsewhere && link.master === 0 && isNetwork(link);
}

/**
 * Whether an IPv6 default route through a pods' bridge may be forged: a pod with NET_RAW can advertise one where the
 * node does not forward IPv6. So it counts for nothing if the bridge has IPv4 networks and IPv4's default route uses
 * another link.
 */
export function isAdvertised(link: Link, network: Network): boolean {
  const { kind, ipv4, ipv6 } = link;
  return (
    hasDefault(ipv6) &&
    ipv4 !== undefined &&
    !hasDefault(ipv4) &&
    (kind === "openvswitch" || (kind === "bridge" && !isWired(link, network))) &&
    network.links.some((other) => hasDefault(other.ipv4))
  );
}

/** Whether a bridge has a port that leads to other machines. */
export function isWired({ index }: Link, { links }: Network): boolean {
  return links.some(({ master, kind }) => master === index && wires.includes(kind));
}

/** Whether the link has a route to a whole network and none to a single pod. */
function isNetwork({ ipv4, ipv6 }: Link): boolean {
  if (ipv4?.host || ipv6?.host) return false;
  return (
    (ipv4 !== undefined && !isFew(false, ipv4.widest)) || (ipv6 !== undefined && !isFew(true, ipv6.widest))
  );
}

/** Whether a prefix has at most four addresses; some pod networks use such a prefix for each pod. */
function isFew(ipv6: boolean, bits: number): boolean {
  return bits >= (ipv6 ? 126 : 30);
}

function hasDefault(ways: Ways | undefined): boolean {
  return ways !== undefined && ways.widest <= wide;
}
