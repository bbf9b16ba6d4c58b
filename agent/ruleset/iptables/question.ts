import type { HeldChain } from "./listing.ts";

/** iptables' own chains that have jumps to our chains, in the order in which tables are asked for. */
export const baseChains: HeldChain[] = [
  ...["PREROUTING", "OUTPUT"].map((name) => ({ table: "mangle", name })),
  ...["FORWARD", "OUTPUT", "INPUT"].map((name) => ({ table: "filter", name })),
  ...["PREROUTING", "OUTPUT", "POSTROUTING"].map((name) => ({ table: "nat", name })),
];

/**
 * Asks `iptables-nft-restore --noflush` for these chains only. iptables-nft-save, even with `-t`, reads every rule of
 * every table: 112 MB and 10 s beside 96,000 rules of kube-proxy in nat, where this question takes 3 MB and
 * milliseconds. It creates no table and no chain.
 */
export function question(chains: HeldChain[]): string {
  const byTable = Map.groupBy(chains, ({ table }) => table);
  return [...byTable]
    .map(([table, those]) => `*${table}\n${those.map(({ name }) => `-v -S ${name}\n`).join("")}COMMIT\n`)
    .join("");
}

/**
 * The output for a question's chains, in the form of iptables-save -c. The line that declares a chain begins its rules;
 * the order tells its table. Undefined when other chains were printed than asked for.
 */
export function answer(chains: HeldChain[], printed: string): string | undefined {
  const asked = [...Map.groupBy(chains, ({ table }) => table).values()].flat();
  let section = -1;
  const lines = printed.split("\n").flatMap((line) => {
    const begins = /^-[PN] (\S+)/.exec(line)?.[1];
    if (begins === undefined) return line.startsWith("-A ") ? [countFirst(line)] : [];
    section++;
    const chain = asked[section];
    return chain?.name === begins ? [`*${chain.table}`, `:${begins} - [0:0]`] : ["unasked"];
  });
  return section + 1 === asked.length && !lines.includes("unasked") ? `${lines.join("\n")}\n` : undefined;
}

/**
 * Selects the lines to keep, so that a listing of any length takes no memory. Of other programs' rules it keeps one for
 * each of iptables' own chains, which shows that there are some.
 */
export function keptLines(): (line: string) => boolean {
  let crowded = new Set<string>();
  return (line) => {
    if (/^(\*|-[PN] |# Table)/.test(line)) {
      crowded = new Set();
      return true;
    }
    if (line.includes("MAGICIP-")) return true;
    const chain = /^(?:\[\d+:\d+\] )?-A ((?:PRE|POST)ROUTING|INPUT|FORWARD|OUTPUT) /.exec(line)?.[1];
    if (chain === undefined || crowded.has(chain)) return false;
    crowded.add(chain);
    return true;
  };
}

/** The chains of ours that rules lead to and that are not among the known ones. */
export function unasked(listing: string, known: HeldChain[]): HeldChain[] {
  const found = new Map(known.map((chain) => [keyOf(chain), chain]));
  const fresh: HeldChain[] = [];
  let table = "";
  for (const line of listing.split("\n")) {
    if (line.startsWith("*")) table = line.slice(1);
    const name = / -[jg] (MAGICIP-[0-9a-f]{8}-[A-Z]+(?:-[0-9a-z]+)?)$/.exec(line)?.[1];
    if (name === undefined || found.has(`${table} ${name}`)) continue;
    found.set(`${table} ${name}`, { table, name });
    fresh.push({ table, name });
  }
  return fresh;
}

/** The chain that iptables-nft could not show: it does not exist, or has a rule that iptables did not make. */
export function unreadable(stderr: string): HeldChain | undefined {
  const [, name, table] = /chain `(\S+)' in table `(\S+)' is incompatible/.exec(stderr) ?? [];
  return name === undefined || table === undefined ? undefined : { table, name };
}

/** The chains with our prefix in what `nft list chains ip` printed. */
export function namedChains(listing: string): HeldChain[] {
  let table = "";
  return listing.split("\n").flatMap((line) => {
    const [, kind, name = ""] = /^\s*(table ip6?|chain) (\S+) \{/.exec(line) ?? [];
    if (kind?.startsWith("table")) table = name;
    return kind === "chain" && name.startsWith("MAGICIP-") ? [{ table, name }] : [];
  });
}

export const keyOf = ({ table, name }: HeldChain) => `${table} ${name}`;

/** `-A chain … -c 5 6 -j TARGET` with the counters in front. Text in a comment is not taken for the target. */
function countFirst(line: string): string {
  const [, rule, packets, bytes, target] = /^(.*) -c (\d+) (\d+)( -[jg] .*)?$/.exec(line) ?? [];
  return rule === undefined ? line : `[${packets}:${bytes}] ${rule}${target ?? ""}`;
}
