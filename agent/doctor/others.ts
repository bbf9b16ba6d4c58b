import type { Survey } from "./scope.ts";
import { droppedBy, type DroppingChain, ownerOf } from "./dropping.ts";
import { earlyRules, effectsAt } from "./untracked.ts";
import { type BaseChain, type ForeignChains, readChains, readRules } from "./chains.ts";
import { readCilium } from "./cilium.ts";
import { readLegacy } from "./legacy.ts";
import type { Read } from "../netfilter/node.ts";
import type { Reader } from "./reader.ts";
import { readServices } from "./services.ts";

/** What in other programs' rules decides about packets to a magic IP. */
export type OthersRules = Pick<Survey, "dropping" | "early" | "services" | "cilium">;

/** What is asked for. */
export interface Question {
  ipAddresses: string[];
  interfaces: string[];
  /** The priority of the chain that translates the magic IPs: a nat chain before it gets their packets first. */
  priority: number;
}

/**
 * Reads the parts of other programs' rules that matter: the names of all chains, then the few chains and maps that can
 * matter. A ruleset of kube-proxy may have megabytes, and nft 1.0.6 crashes on some tables of newer tools
 * (kubernetes/kubernetes#136786); then only that table is reported. The reader bounds memory and time.
 */
export async function readOthersRules(reader: Reader, read: Read, question: Question): Promise<OthersRules> {
  const chains = await readChains(reader);
  const services = await readServices(reader, chains, question.ipAddresses);
  const rules = await readTables(reader, chains, question);
  const ipv4 = await readLegacy(reader, read, "ip", question.ipAddresses);
  const ipv6 = await readLegacy(reader, read, "ip6", question.ipAddresses);
  return {
    cilium: await readCilium(reader, read, question.interfaces, chains),
    dropping: [...rules.dropping, ...ipv4.dropping, ...ipv6.dropping],
    early: [...rules.early, ...ipv4.early, ...ipv6.early],
    services: [...services, ...ipv4.services, ...ipv6.services],
  };
}

/** Lists each table once, and only if one of its base chains has a hook and a priority that matter. */
async function readTables(
  reader: Reader,
  chains: ForeignChains,
  { priority }: Question,
): Promise<Pick<OthersRules, "dropping" | "early">> {
  const matters = chains.base.filter((chain) => {
    // kube-proxy's own rules only concern Services, which are looked for by their addresses.
    if (chain.table === "kube-proxy") return false;
    return effectsAt(chain, priority).length > 0 || isForwarding(chain);
  });
  const found: Pick<OthersRules, "dropping" | "early"> = { dropping: [], early: [] };
  for (const [table, base] of Map.groupBy(matters, ({ family, table: name }) => `${family} ${name}`)) {
    const [{ family }] = base as [BaseChain];
    const names = base.map(({ name }) => name);
    const rules = await readRules(reader, chains, table, names);
    const entries = base.map((chain) => ({ chain: chain.name, effects: effectsAt(chain, priority) }));
    found.early.push(...earlyRules(family, table, entries, rules));
    for (const chain of base.filter(isForwarding)) {
      const dropped = droppedBy(chain.name, chain.policy, rules);
      if (dropped !== undefined) found.dropping.push({ ...placeOf(chain, chains), ...dropped });
    }
  }
  return found;
}

function isForwarding({ type, hook }: BaseChain): boolean {
  return type === "filter" && hook === "forward";
}

function placeOf(
  { family, table, name }: BaseChain,
  { known }: ForeignChains,
): Pick<DroppingChain, "tool" | "family" | "table" | "chain" | "owner"> {
  const isIptables = family !== "inet" && table === "filter" && name === "FORWARD";
  const start = `${family} ${table} `;
  const names = [...known].flatMap((chain) => (chain.startsWith(start) ? [chain.slice(start.length)] : []));
  return {
    tool: isIptables ? "iptables" : "nft",
    family: family as DroppingChain["family"],
    table,
    chain: name,
    owner: ownerOf(table, names),
  };
}
