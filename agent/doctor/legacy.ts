import type { Survey } from "./scope.ts";
import { droppedBy, ownerOf } from "./dropping.ts";
import { type Chains, type EarlyRule, earlyRules, effectsAt } from "./untracked.ts";
import type { Read } from "../netfilter/node.ts";
import type { Reader } from "./reader.ts";
import { namesOneOf, servicesOfRules } from "./services.ts";

/** The priorities of iptables' tables among nft's chains (linux/netfilter_ipv4.h). */
const priorities = { raw: -300, mangle: -150 };

/**
 * Rules of iptables-legacy, which nft does not show. It is asked only about tables that the kernel has already, because
 * asking for another one would create it (Felix, too, looks at /proc/net/ip_tables_names).
 */
export async function readLegacy(
  reader: Reader,
  read: Read,
  family: "ip" | "ip6",
  ipAddresses: string[],
): Promise<Pick<Survey, "dropping" | "early" | "services">> {
  const tables = ((await read(`/proc/net/${family}_tables_names`)) ?? "").split("\n");
  const tool = family === "ip" ? "iptables-legacy" : "ip6tables-legacy";
  const list = async (table: string, matters: (line: string) => boolean, ...chain: string[]) =>
    tables.includes(table)
      ? reader.lines(`${tool}'s table ${table}`, tool, ["--table", table, "--list-rules", ...chain], matters)
      : "";
  const named = namesOneOf(ipAddresses);
  const ofService = (line: string) => /^-A KUBE-(EXTERNAL-)?SERVICES /.test(line);
  const filter = await list("filter", (line) => !ofService(line) || named(line));
  const services = [
    await list("nat", named, "KUBE-SERVICES"),
    filter.split("\n").filter(ofService).join("\n"),
  ];
  const early = [
    ...earlyLegacyRules(family, tool, "raw", await list("raw", () => true)),
    ...earlyLegacyRules(family, tool, "mangle", await list("mangle", () => true)),
  ];
  return {
    dropping: legacyDropping(family, filter),
    early,
    services: services.flatMap(servicesOfRules),
  };
}

/** The same as `earlyRules` for nft, from `iptables-legacy --list-rules`. */
export function earlyLegacyRules(
  family: string,
  tool: string,
  table: "raw" | "mangle",
  listing: string,
): EarlyRule[] {
  const { chains, policies } = parseListing(listing);
  const entries = [...policies.keys()].map((chain) => {
    const place = { type: "filter", hook: chain.toLowerCase(), priority: priorities[table] };
    return { chain, effects: effectsAt(place, 0) };
  });
  return earlyRules(family, `${tool} ${table}`, entries, chains);
}

function legacyDropping(family: "ip" | "ip6", filter: string): Survey["dropping"] {
  const { chains, policies } = parseListing(filter);
  const dropped = droppedBy("FORWARD", policies.get("FORWARD")?.toLowerCase() ?? "accept", chains);
  if (dropped === undefined) return [];
  const owner = ownerOf("filter", [...chains.keys()]);
  return [{ tool: "iptables-legacy", family, table: "filter", chain: "FORWARD", owner, ...dropped }];
}

function parseListing(listing: string): { chains: Chains; policies: Map<string, string> } {
  const chains: Chains = new Map();
  const policies = new Map<string, string>();
  for (const line of listing.split("\n")) {
    const [, kind, name = "", rest = ""] = /^-([PNA]) (\S+) ?(.*)$/.exec(line) ?? [];
    if (kind === "A") chains.get(name)?.push(translated(rest));
    else if (kind !== undefined) chains.set(name, []);
    if (kind === "P") policies.set(name, rest);
  }
  return { chains, policies };
}

/** A rule of iptables in nft's notation, as far as the doctor needs it. */
function translated(rule: string): string {
  const list = (ports: string) => `{ ${ports.replaceAll(":", "-").replaceAll(",", ", ")} }`;
  const not = (text: string | undefined) => (text ? "!= " : "");
  return rule
    .replace(/-m comment --comment ("[^"]*"|\S+) ?/g, "")
    .replace(/-m conntrack --ctstate DNAT/, "ct status dnat")
    .replace(/-m conntrack --ctorigdst (\S+?)(\/32|\/128)?(?= |$)/, "ct original daddr $1")
    .replace(/-m (tcp|udp|sctp|multiport|mark) ?/g, "")
    .replace(/(! )?--mark (\S+)/, (_, no, mark: string) => `meta mark ${not(no)}${mark}`)
    .replace(/(! )?-([sd]) (\S+)/g, (_, no, end: string, range: string) => `ip ${end}addr ${not(no)}${range}`)
    .replace(/(! )?-p (\S+)/, (_, no, name: string) => `meta l4proto ${not(no)}${name}`)
    .replace(
      /(! )?--(d|s|source-|destination-)ports? (\S+)/g,
      (_, no, end: string, ports: string) => `th ${end[0]}port ${not(no)}${list(ports)}`,
    )
    .replace(/(! )?-([io]) (\S+)/g, (_, no, way: string, name: string) => `${way}ifname ${not(no)}"${name}"`)
    .replace(/-j (CT --notrack|NOTRACK)/, "notrack")
    .replace(/-j CT .*/, 'xt target "CT"')
    .replace(/-j (REJECT|TPROXY).*/, (_, target: string) => target.toLowerCase())
    .replace(/-j (ACCEPT|DROP|RETURN)/, (_, verdict: string) => verdict.toLowerCase())
    .replace(/-([jg]) (\S+)/, (_, way: string, name: string) => `${way === "j" ? "jump" : "goto"} ${name}`);
}
