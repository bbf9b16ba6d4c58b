import { cidrContains, parseCidr } from "../component/spec/cidr.ts";
import { parseIp } from "../component/spec/ip.ts";

/** A magic IP and the ports of it that clients dial; none: all of them. */
export interface Dialed {
  ipAddress: string;
  ports: { protocol: string; port: number; endPort: number }[];
}

/** A rule after which conntrack, and so every translation, leaves a packet alone. */
export interface UntrackedRule {
  /** As `ip raw` or `iptables-legacy raw`. */
  table: string;
  chain: string;
  text: string;
  /** What has to hold for it, from the base chain on. */
  conditions: Condition[];
}

type Condition =
  | { kind: "destination"; ranges: string[]; negated: boolean }
  | { kind: "ports"; protocol: string; ranges: [number, number][]; negated: boolean }
  | { kind: "family"; family: "ipv4" | "ipv6" }
  /** Traffic to a magic IP never comes in by loopback, and never leaves by it. */
  | { kind: "loopback"; negated: boolean }
  | { kind: "unknown" };

/** Whether it holds for all that is sent to a magic IP, for some of it, or for none. */
export type Extent = "all" | "some" | "none";

/** Conntrack looks at a packet at this priority; only before it can a rule exempt the packet. */
export const conntrackPriority = -200;

interface Chain {
  name: string;
  /** It is called by the kernel, where conntrack can still be avoided. */
  entry: boolean;
  rules: string[];
}

/** The rules of one table that exempt packets from conntrack, from `nft --numeric --stateless --terse list table`. */
export function untrackedRules(family: string, table: string, listing: string): UntrackedRule[] {
  return reached(`${family} ${table}`, familyOf(family), parseChains(listing));
}

/** The same from `iptables-legacy --table raw --list-rules`. */
export function untrackedLegacyRules(family: string, tool: string, listing: string): UntrackedRule[] {
  const lines = listing
    .split("\n")
    .flatMap((line) => [...(/^-([PNA]) (\S+) ?(.*)$/.exec(line)?.slice(1) ?? [])]);
  const chains = new Map<string, Chain>();
  for (let index = 0; index < lines.length; index += 3) {
    const [kind, name = "", rest = ""] = lines.slice(index, index + 3);
    if (kind === "A") chains.get(name)?.rules.push(translated(rest));
    else chains.set(name, { name, entry: kind === "P", rules: [] });
  }
  return reached(`${tool} raw`, familyOf(family), [...chains.values()]);
}

/** How much of what is sent to a magic IP the rule exempts. */
export function extentOf({ conditions }: UntrackedRule, dialed: Dialed): Extent {
  const extents = conditions.map((condition) => extent(condition, dialed));
  if (extents.includes("none")) return "none";
  return extents.every((one) => one === "all") ? "all" : "some";
}

function extent(condition: Condition, { ipAddress, ports }: Dialed): Extent {
  switch (condition.kind) {
    case "destination":
      return anyOrAll(condition.ranges.some((range) => inRange(ipAddress, range)) !== condition.negated);
    case "family":
      return anyOrAll(ipAddress.includes(":") === (condition.family === "ipv6"));
    case "loopback":
      return anyOrAll(condition.negated);
    case "ports":
      return extentOfPorts(condition, ports);
    case "unknown":
      return "some";
  }
}

function anyOrAll(holds: boolean): Extent {
  return holds ? "all" : "none";
}

function extentOfPorts(
  { protocol, ranges, negated }: Extract<Condition, { kind: "ports" }>,
  ports: Dialed["ports"],
): Extent {
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

/** A table of one family sees nothing of the other. */
function familyOf(family: string): Condition[] {
  return family === "inet" ? [] : [{ kind: "family", family: family === "ip6" ? "ipv6" : "ipv4" }];
}

function parseChains(listing: string): Chain[] {
  return [...listing.matchAll(/^\tchain (\S+) \{\n([\s\S]*?)^\t\}$/gm)].map(([, name = "", body = ""]) => {
    const lines = body.split("\n").map((line) => line.trim());
    const [, hook = "", priority = "0"] =
      /^type filter hook (\S+).* priority (-?\d+);/.exec(lines[0] ?? "") ?? [];
    const entry = ["prerouting", "output"].includes(hook) && Number(priority) <= conntrackPriority;
    return { name, entry, rules: lines.filter((line) => line !== "" && !line.startsWith("type ")) };
  });
}

/** Follows the jumps from the base chains; the kernel lets no chain reach itself, and calls none deeper than 16. */
function reached(table: string, outermost: Condition[], chains: Chain[]): UntrackedRule[] {
  const named = new Map(chains.map((chain) => [chain.name, chain]));
  const walk = (chain: Chain, outer: Condition[], depth: number): UntrackedRule[] => {
    const rules: UntrackedRule[] = [];
    let passed: Condition[] = outer;
    for (const text of chain.rules) {
      const conditions = [...passed, ...conditionsOf(text)];
      if (exempts(text)) rules.push({ table, chain: chain.name, text, conditions });
      for (const [, target = ""] of text.matchAll(/\b(?:jump|goto) "?([^\s",;}]+)/g)) {
        const next = named.get(target);
        if (next !== undefined && depth < 16) rules.push(...walk(next, conditions, depth + 1));
      }
      // What comes after a way out holds for what did not take it.
      if (/\b(accept|drop|return|goto \S+)( comment "[^"]*")?$/.test(text))
        passed = [...passed, { kind: "unknown" }];
    }
    return rules;
  };
  return chains.filter(({ entry }) => entry).flatMap((chain) => walk(chain, outermost, 0));
}

/** nft without iptables' plugins shows their target CT by its name alone, which may be NOTRACK. */
const opaqueTarget = /\bxt target "?CT"?/;

function exempts(text: string): boolean {
  return /\bnotrack\b/.test(withoutComment(text)) || opaqueTarget.test(text);
}

const value = /(!= )?(\{[^}]*\}|"[^"]*"|(?!vmap\b|map\b|\.|&|\{)\S+)/.source;

/** What a rule asks for before it does anything. What is not understood here counts as asked for. */
function conditionsOf(rule: string): Condition[] {
  const conditions: Condition[] = opaqueTarget.test(rule) ? [{ kind: "unknown" }] : [];
  let rest = ` ${withoutComment(rule)} `.replace(/ counter( packets \d+ bytes \d+)? /g, " ");
  const take = (
    pattern: string,
    toCondition: (keyword: string, negated: boolean, values: string[]) => Condition,
  ) => {
    rest = rest.replace(
      new RegExp(` (${pattern}) ${value} `, "g"),
      (_, keyword: string, not, list: string) => {
        const values = list
          .replace(/[{}"]/g, "")
          .split(",")
          .map((one) => one.trim());
        const named = values.some((one) => one.startsWith("@"));
        conditions.push(named ? { kind: "unknown" } : toCondition(keyword, not !== undefined, values));
        return " ";
      },
    );
  };
  take("ip6? daddr", (_, negated, ranges) => ({ kind: "destination", ranges, negated }));
  take("(?:tcp|udp|sctp|th) dport", (keyword, negated, values) => {
    return { kind: "ports", protocol: keyword.split(" ")[0] ?? "th", ranges: values.map(portRange), negated };
  });
  take("meta l4proto|ip protocol|ip6 nexthdr", (_, negated, [name = "", ...others]) => {
    if (negated || others.length > 0) return { kind: "unknown" };
    return { kind: "ports", protocol: protocols[name] ?? name, ranges: [[0, 65535]], negated };
  });
  take("meta nfproto", (_, _negated, [name = ""]) => ({
    kind: "family",
    family: /10|ipv6/.test(name) ? "ipv6" : "ipv4",
  }));
  take("[io]if(?:name)?", (_, negated, values) => {
    return values.join() === "lo" ? { kind: "loopback", negated } : { kind: "unknown" };
  });
  const verdict = / (notrack|accept|drop|return|continue|(jump|goto) \S+|xt target \S+) /g;
  if (rest.replace(verdict, " ").trim() !== "") conditions.push({ kind: "unknown" });
  return conditions;
}

/** With --numeric nft prints protocols as numbers. */
const protocols: Record<string, string> = { "6": "tcp", "17": "udp", "132": "sctp" };

function portRange(text: string): [number, number] {
  const [first = "", last = first] = text.split("-");
  return [Number(first), Number(last)];
}

function withoutComment(rule: string): string {
  return rule.replace(/ comment "[^"]*"/, "");
}

/** A rule of iptables in the words of nft, as far as it matters here. */
function translated(rule: string): string {
  const list = (ports: string) => `{ ${ports.replaceAll(":", "-").replaceAll(",", ", ")} }`;
  return rule
    .replace(/-m comment --comment ("[^"]*"|\S+) ?/g, "")
    .replace(/-m (tcp|udp|sctp|multiport) ?/g, "")
    .replace(/(! )?-d (\S+)/, (_, not, range: string) => `ip daddr ${not ? "!= " : ""}${range}`)
    .replace(/(! )?-p (\S+)/, (_, not, name: string) => `meta l4proto ${not ? "!= " : ""}${name}`)
    .replace(/(! )?--dports? (\S+)/, (_, not, ports: string) => `th dport ${not ? "!= " : ""}${list(ports)}`)
    .replace(
      /(! )?-([io]) (\S+)/g,
      (_, not, way: string, name: string) => `${way}ifname ${not ? "!= " : ""}"${name}"`,
    )
    .replace(/-j (CT --notrack|NOTRACK)/, "notrack")
    .replace(/-j CT .*/, 'xt target "CT"')
    .replace(/-j (ACCEPT|DROP|RETURN)/, (_, verdict: string) => verdict.toLowerCase())
    .replace(/-([jg]) (\S+)/, (_, way: string, name: string) => `${way === "j" ? "jump" : "goto"} ${name}`);
}
