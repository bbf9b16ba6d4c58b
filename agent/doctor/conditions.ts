import { cidrContains, parseCidr } from "../../component/address/cidr.ts";
import { parseIp } from "../../component/address/ip.ts";

/** A magic IP and its ports that clients dial; an empty list means all ports. */
export interface Dialed {
  ipAddress: string;
  ports: { protocol: string; port: number; endPort: number }[];
}

/** A condition of a rule on the packet. */
export type Condition =
  | Addresses
  | PortRanges
  | Interfaces
  | { kind: "family"; family: "ipv4" | "ipv6" }
  /** The packet did not meet the conditions of an earlier rule: not all of these hold. */
  | { kind: "unless"; conditions: Condition[] }
  | { kind: "mark" }
  | { kind: "unknown" };

interface Addresses {
  kind: "destination" | "source";
  ranges: string[];
  negated: boolean;
}

interface PortRanges {
  kind: "ports" | "sourcePorts";
  protocol: string;
  ranges: [number, number][];
  negated: boolean;
}

interface Interfaces {
  kind: "interface";
  direction: "in" | "out";
  names: string[];
  negated: boolean;
}

/** Whether conditions hold for all packets to a magic IP, for some of them, or for none. */
export type Extent = "all" | "some" | "none";

/** Which part of the packets to the magic IP meets all conditions. `uplinks`: no client comes in by them. */
export function extentOf(conditions: Condition[], dialed: Dialed, uplinks: string[] = []): Extent {
  const extents = conditions.map((condition) => extent(condition, dialed, uplinks));
  if (extents.includes("none") || areOfServer(conditions)) return "none";
  return extents.every((one) => one === "all") ? "all" : "some";
}

/** Whether all conditions were understood. */
export function areCertain(conditions: Condition[]): boolean {
  return conditions.every((condition) => {
    if (condition.kind === "unless") return areCertain(condition.conditions);
    return condition.kind !== "unknown" && condition.kind !== "mark";
  });
}

function extent(condition: Condition, dialed: Dialed, uplinks: string[]): Extent {
  const { ipAddress, ports } = dialed;
  switch (condition.kind) {
    case "destination":
      return anyOrAll(condition.ranges.some((range) => inRange(ipAddress, range)) !== condition.negated);
    case "source":
      return extentOfSource(condition);
    case "family":
      return anyOrAll(ipAddress.includes(":") === (condition.family === "ipv6"));
    case "interface":
      return extentOfInterface(condition, uplinks);
    case "ports":
      return extentOfPorts(condition, ports);
    case "sourcePorts":
      return extentOfSourcePorts(condition);
    case "unless":
      return opposite[extentOf(condition.conditions, dialed, uplinks)];
    case "mark":
    case "unknown":
      return "some";
  }
}

const opposite: Record<Extent, Extent> = { all: "none", some: "some", none: "all" };

/** Whether they match only one server's answers: from one address and one port, as NodeLocal DNSCache's rules do. */
function areOfServer(conditions: Condition[]): boolean {
  const ofOnePort = (one: Condition) => one.kind === "sourcePorts" && !one.negated && one.ranges.length === 1;
  return conditions.some(ofOnePort) && conditions.some(isSingleSource);
}

/** Whether the condition names the magic IP, or a range that contains it. */
export function names(condition: Condition, { ipAddress }: Dialed): boolean {
  if (condition.kind !== "destination" || condition.negated) return false;
  return condition.ranges.some((range) => inRange(ipAddress, range));
}

function anyOrAll(holds: boolean): Extent {
  return holds ? "all" : "none";
}

function isSingleSource(condition: Condition): boolean {
  if (condition.kind !== "source" || condition.negated || condition.ranges.length !== 1) return false;
  return parseIp((condition.ranges[0] ?? "").replace(/\/(32|128)$/, "")) !== undefined;
}

/** The node's own link-local addresses (NodeLocal DNSCache has one) and loopback: no client sends from them. */
const ofServices = ["169.254.0.0/16", "127.0.0.0/8", "::1/128"].flatMap((range) => parseCidr(range) ?? []);

function extentOfSource({ ranges, negated }: Addresses): Extent {
  if (!negated && ranges.some((range) => /\/0$/.test(range))) return "all";
  const apart = ranges.every((range) => {
    const ip = parseIp(range.split(/[-/]/)[0] ?? "");
    const bits = Number(range.split("/")[1] ?? 128);
    return ip !== undefined && bits >= 8 && ofServices.some((block) => cidrContains(block, ip));
  });
  return apart && !negated ? "none" : "some";
}

/** A packet to a magic IP never comes in by loopback or from outside, and never leaves by loopback. */
function extentOfInterface({ direction, names, negated }: Interfaces, uplinks: string[]): Extent {
  const apart = direction === "in" ? ["lo", ...uplinks] : ["lo"];
  if (names.every((name) => apart.includes(name))) return anyOrAll(negated);
  return "some";
}

function extentOfPorts({ protocol, ranges, negated }: PortRanges, ports: Dialed["ports"]): Extent {
  if (ports.length === 0) return "some";
  const concerned = ports.filter((port) => protocol === "th" || port.protocol === protocol);
  if (negated) return concerned.length === 0 ? "none" : "some";
  const hit = concerned.filter(({ port, endPort }) =>
    ranges.some(([first, last]) => first <= endPort && port <= last),
  );
  if (hit.length === 0) return "none";
  const whole = hit.every(({ port, endPort }) =>
    ranges.some(([first, last]) => first <= port && endPort <= last),
  );
  return whole && hit.length === ports.length ? "all" : "some";
}

/** Ports below are servers': no kernel gives them to a client (net.ipv4.ip_local_port_range starts at 1024 or higher). */
const firstOfClients = 1024;

function extentOfSourcePorts({ ranges, negated }: PortRanges): Extent {
  return !negated && ranges.every(([, last]) => last < firstOfClients) ? "none" : "some";
}

/** A range as nft prints it: an address, a prefix, or the first and the last address. */
function inRange(ipAddress: string, range: string): boolean {
  const ip = parseIp(ipAddress);
  const [first = "", last = first] = range.split("-");
  const block = parseCidr(range);
  if (ip === undefined) return false;
  if (block !== undefined) return cidrContains(block, ip);
  const [from, to] = [parseIp(first), parseIp(last)];
  if (from?.family !== ip.family || to?.family !== ip.family) return false;
  return from.value <= ip.value && ip.value <= to.value;
}

/** nft without iptables' plugins may show their target CT by its name only; it may be NOTRACK. */
export const opaqueTarget = /\bxt target "?CT"?/;

const value = /(!= )?(\{[^}]*\}|"[^"]*"|(?!vmap\b|map\b|\.|&|\{)\S+)/.source;
const verdicts =
  / (notrack|accept|drop|return|continue|reject( with .*)?|(redirect|dnat|tproxy)( .*)?|(jump|goto) \S+|xt target \S+) /g;

/** The conditions of a rule as nft prints it. What is not understood here counts as an unknown condition. */
export function conditionsOf(rule: string): Condition[] {
  const conditions: Condition[] = opaqueTarget.test(rule) ? [{ kind: "unknown" }] : [];
  let rest = ` ${bare(rule)} `;
  const take = (
    pattern: string,
    toCondition: (keyword: string, negated: boolean, values: string[]) => Condition,
  ) => {
    rest = rest.replace(
      new RegExp(` (${pattern}) ${value}(?= )`, "g"),
      (_, keyword: string, not, list: string) => {
        const values = list
          .replace(/[{}"]/g, "")
          .split(",")
          .map((one) => one.trim());
        const named = values.some((one) => one.startsWith("@"));
        conditions.push(named ? { kind: "unknown" } : toCondition(keyword, not !== undefined, values));
        return "";
      },
    );
  };
  take("ip6? [sd]addr", (keyword, negated, ranges) => {
    return { kind: keyword.endsWith("saddr") ? "source" : "destination", ranges, negated };
  });
  take("(?:tcp|udp|sctp|th) [sd]port", (keyword, negated, values) => {
    const [protocol = "th", which] = keyword.split(" ");
    const kind = which === "sport" ? "sourcePorts" : "ports";
    return { kind, protocol, ranges: values.map(portRange), negated };
  });
  take("meta l4proto|ip protocol|ip6 nexthdr", (_, negated, [name = "", ...others]) => {
    if (negated || others.length > 0) return { kind: "unknown" };
    return { kind: "ports", protocol: protocols[name] ?? name, ranges: [[0, 65535]], negated };
  });
  take("meta nfproto", (_, _negated, [name = ""]) => ({
    kind: "family",
    family: /10|ipv6/.test(name) ? "ipv6" : "ipv4",
  }));
  take("[io]if(?:name)?", (keyword, negated, names) => {
    return { kind: "interface", direction: keyword.startsWith("i") ? "in" : "out", names, negated };
  });
  rest = rest.replace(/ (meta )?mark (& \S+ )?([!=]= )?(?!set )\S+ /g, () => {
    conditions.push({ kind: "mark" });
    return " ";
  });
  if (rest.replace(verdicts, " ").trim() !== "") conditions.push({ kind: "unknown" });
  return conditions;
}

/** With --numeric nft prints protocols as numbers. */
const protocols: Record<string, string> = { "6": "tcp", "17": "udp", "132": "sctp" };

function portRange(text: string): [number, number] {
  const [first = "", last = first] = text.split("-");
  return [Number(first), Number(last)];
}

/** A rule without the parts that are neither a condition nor an action. */
export function bare(rule: string): string {
  return rule
    .replace(/ comment "[^"]*"/, "")
    .replace(/\bcounter( packets \d+ bytes \d+)?/g, "")
    .replace(/\s+/g, " ")
    .trim();
}
