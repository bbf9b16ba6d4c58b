import { type Chains, targetsOf } from "./untracked.ts";
import type { Reader } from "./reader.ts";

/** A chain of another program in which the kernel enters its rules. */
export interface BaseChain {
  family: string;
  table: string;
  name: string;
  type: string;
  hook: string;
  priority: number;
  policy: string;
}

/** What the names of all chains on the node show. Every list is bounded, however many chains there are. */
export interface ForeignChains {
  base: BaseChain[];
  /** Chains that are looked for by their names, as `ip nat KUBE-SERVICES`. */
  known: Set<string>;
  /** How many chains each table has, by `family name`. */
  sizes: Map<string, number>;
  /** Whether the names could not be read. */
  unread: boolean;
}

/** Names that the doctor asks for, or that show which program a table belongs to. A firewall has few such chains. */
const knownNames = /^(KUBE-(EXTERNAL-)?SERVICES|CILIUM_(POST_nat|FORWARD)|ufw6?-.*|DOCKER.*)$/;

/** Base chains and known names that are kept at most; a node has some dozens. */
const most = 1_000;

/** nft's tables of a magic IP, this installation's and others'. */
const ours = /^inet magic-ip-/;

/** Reads the names of all chains, line by line: beside 96,000 rules of kube-proxy the listing has 1.4 MB. */
export async function readChains(reader: Reader): Promise<ForeignChains> {
  const before = reader.unreadable.length;
  const collected = chainCollector();
  await reader.lines(
    "the names of all chains",
    "nft",
    ["--numeric-priority", "list", "chains"],
    collected.take,
  );
  return { ...collected.chains, unread: reader.unreadable.length > before };
}

export function chainCollector(): { chains: ForeignChains; take: (line: string) => false } {
  const chains: ForeignChains = { base: [], known: new Set(), sizes: new Map(), unread: false };
  let table = "";
  let name = "";
  const take = (line: string): false => {
    if (line.startsWith("\tchain ")) {
      name = line.slice(7, -2);
      if (table !== "" && (chains.sizes.has(table) || chains.sizes.size < most))
        chains.sizes.set(table, (chains.sizes.get(table) ?? 0) + 1);
      if (knownNames.test(name) && chains.known.size < most) chains.known.add(`${table} ${name}`);
    } else if (line.startsWith("\t\ttype ") && table !== "") {
      const [, type = "", hook = "", priority = "0", policy = ""] =
        /type (\w+) hook (\w+).* priority (-?\d+); policy (\w+);/.exec(line) ?? [];
      const [family = "", of = ""] = table.split(" ");
      const base = { family, table: of, name, type, hook, priority: Number(priority), policy };
      if (hook !== "" && chains.base.length < most) chains.base.push(base);
    } else if (line.startsWith("table ")) {
      const found = line.slice(6, -2);
      table = /^(ip|ip6|inet) /.test(found) && !ours.test(found) ? found : "";
    }
    return false;
  };
  return { chains, take };
}

/** Chains up to which a table is listed as a whole; most tables of firewalls have fewer. */
const wholeTable = 100;

/** Chains of a larger table that are listed at most, one by one: those that its base chains lead to. */
const mostListed = 50;

/** The rules of a table that can be reached from these chains. */
export async function readRules(
  reader: Reader,
  { sizes }: ForeignChains,
  table: string,
  from: string[],
): Promise<Chains> {
  const listing = ["--numeric", "--stateless", "--terse", "list"];
  if ((sizes.get(table) ?? 0) <= wholeTable)
    return parseRules(
      await reader.lines(`the table ${table}`, "nft", [...listing, "table", ...table.split(" ")]),
    );
  const chains: Chains = new Map();
  const next = [...from];
  for (let name = next.shift(); name !== undefined && chains.size < mostListed; name = next.shift()) {
    if (chains.has(name) || reader.left === 0) continue;
    const args = [...listing, "chain", ...table.split(" "), name];
    const rules = parseRules(await reader.lines(`the chain ${name} of the table ${table}`, "nft", args)).get(
      name,
    );
    chains.set(name, rules ?? []);
    next.push(...(rules ?? []).flatMap(targetsOf));
  }
  if (next.length > 0) reader.unreadable.push(`the table ${table}: more than ${mostListed} chains lead on`);
  return chains;
}

/** The rules of each chain in what nft lists. */
export function parseRules(listing: string): Chains {
  const chains: Chains = new Map();
  let rules: string[] | undefined;
  for (const line of listing.split("\n")) {
    const [, name] = /^\tchain (\S+) \{$/.exec(line) ?? [];
    if (name !== undefined) {
      rules = [];
      chains.set(name, rules);
    } else if (line === "\t}") rules = undefined;
    else if (line.trim() !== "" && !line.startsWith("\t\ttype ")) rules?.push(line.trim());
  }
  return chains;
}
