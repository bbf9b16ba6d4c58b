/** An interface of the node, and where it leads. */
export interface Link {
  index: number;
  /** For people: the kernel allows nearly any byte. */
  name: string;
  /** The kernel's rtnl_link_ops: `veth`, `bridge`, …; empty for a physical interface and for loopback. */
  kind: string;
  /** The index of the bridge that it is a port of; 0: none. */
  master: number;
  /** The index of a veth's other end, 0 where there is none in this network namespace. */
  peer: number;
  /** Whether its other end is in another network namespace, as in a pod's. */
  elsewhere: boolean;
  ipv4?: Ways;
  ipv6?: Ways;
}

/** The unicast routes of one family that lead by a link. */
export interface Ways {
  /** The smallest prefix length: 0 where there is a default route. */
  widest: number;
  /** Whether one leads to at most four addresses on the link itself, as to a pod's. */
  host: boolean;
}

/** Where the kernel leads packets to a pod. */
export interface PodRoute {
  pod: string;
  /** `none`: nowhere. */
  type: "unicast" | "local" | "none";
  /** The index of the link that it leads by, and the prefix length of the route; 0 and 0 where it leads nowhere. */
  link: number;
  bits: number;
}

/** A rule of the routing policy that leads what comes in by one interface past a pod. */
export interface Diversion {
  interface: string;
  priority: number;
  table: number;
  pod: string;
  /** The index of the link that it leads by instead; 0: none. */
  link: number;
}

/** How the node's network hangs together, as `magic-ip-netlink routes` tells it. */
export interface Network {
  links: Link[];
  pods: PodRoute[];
  diversions: Diversion[];
}

/** What is known of links by their index, from one look to the next. */
export type Judgements = ReadonlyMap<number, "inside" | "outside">;

/**
 * A route to a sixteenth of all addresses or more leads outside as a default route does: VPNs have halves of it, and IPv6's
 * default route may be 2000::/3. No pods' network is as large.
 */
export const wide = 4;

/**
 * Kinds that pods are behind; whatever else packets come in by is outside: a physical interface, a VLAN, a macvlan (its
 * pods are the outside network's), a tunnel, a tun (a VPN's peers).
 */
export const podKinds = ["veth", "bridge", "netkit", "dummy", "openvswitch"];

/** Kinds whose ports lead to machines, not to pods. A bridge may have other ports, as of an overlay network. */
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

/** RTN_UNICAST and RTN_LOCAL of the kernel's rtnetlink.h; the others lead nowhere. */
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

/** A name comes as one character a byte; what is no UTF-8, and control characters, are shown as question marks. */
function shown(name: string): string {
  const text = new TextDecoder().decode(Uint8Array.from(name, (byte) => byte.charCodeAt(0)));
  return text.replace(/[\p{C}\uFFFD]/gu, "?");
}

/**
 * Inside or outside, for each link that there is a reason to judge; the others are as their kind. What routes to live pods
 * lead to is inside. Without such a route a link that pods may be behind is outside where it leads to other machines. A
 * judgement stays as long as its link: an uplink whose default route is gone for a while is still one, and so are the
 * pods' links while no target is on the node.
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

/** The links that are outside, in an order that stays. */
export function outsideLinks({ links }: Network, judgements: Judgements): Link[] {
  return links
    .filter(({ index }) => judgements.get(index) === "outside")
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Whether the guard drops what comes in by the link. */
export function isOutside(link: Link, judgements: Judgements): boolean {
  return !podKinds.includes(link.kind) || judgements.get(link.index) === "outside";
}

/**
 * Links of a pods' kind that a route to a live pod leads by, and not by way of the node's default route. A veth has the pod
 * alone behind it, or is the gateway of a bridge of this node; one that leads to a whole network elsewhere is an uplink.
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

/** A default route; or a bridge with a physical port; or a veth to a network elsewhere, as the nodes of kind have them. */
function leadsOutside(link: Link, network: Network): boolean {
  if (hasDefault(link.ipv4)) return true;
  if (hasDefault(link.ipv6)) return !isAdvertised(link, network);
  if (link.kind === "bridge") return isWired(link, network);
  return link.kind === "veth" && link.elsewhere && link.master === 0 && isNetwork(link);
}

/**
 * An IPv6 default route by a pods' bridge, as a pod with NET_RAW can advertise it where the node does not forward IPv6, says
 * nothing: the bridge has IPv4 networks, and IPv4's default route leads by another link.
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

/** Whether it leads to a network, and to no pod of its own. */
function isNetwork({ ipv4, ipv6 }: Link): boolean {
  if (ipv4?.host || ipv6?.host) return false;
  return (
    (ipv4 !== undefined && !isFew(false, ipv4.widest)) || (ipv6 !== undefined && !isFew(true, ipv6.widest))
  );
}

/** Prefixes of at most four addresses, as some networks have them for each pod. */
function isFew(ipv6: boolean, bits: number): boolean {
  return bits >= (ipv6 ? 126 : 30);
}

function hasDefault(ways: Ways | undefined): boolean {
  return ways !== undefined && ways.widest <= wide;
}
