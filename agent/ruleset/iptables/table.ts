import type { DesiredState, Family } from "../../desired/state.ts";
import { type Chain, chainPrefix, type Jump, type Layout, type Surroundings, type Table } from "./chains.ts";
import { layout, unservedIp } from "./layout.ts";
import { countKey, type HeldChain, type Installation, nothing } from "./listing.ts";

/**
 * One family's rules as text for `iptables-restore --noflush --counters`. It replaces the installation's rules
 * (`before`), leaves all other rules alone, and keeps the counts of the old rules.
 *
 * Each table is a transaction of its own, so the order of the tables keeps packets from going wrong in between. mangle
 * is first: no magic IP is translated before it is guarded. filter is second: no flow is led to a pod before the pod is
 * live, and a pod that is gone gets no more packets, while new flows to it are refused until nat follows at once. nat
 * is last. For magic IPs that leave the order is reversed: their guards and refusals go after their nat.
 */
export function ruleset(
  state: DesiredState,
  family: Family,
  around: Surroundings,
  before: Installation = nothing,
): string {
  const after = layout(state, family, around);
  if (after.chains.length === 0) return removal(before);
  const staying = new Set(state.bindings.map(({ ipAddress }) => ipAddress));
  const leaving = [...new Set(before.frontends.map(({ ipAddress }) => ipAddress))].filter(
    (ipAddress) => !staying.has(ipAddress),
  );
  if (leaving.length === 0) return blocks(["mangle", "filter", "nat"], after, before);
  const unserved = { ...state, bindings: [...state.bindings, ...leaving.map(unservedIp)] };
  const meanwhile = layout(unserved, family, around);
  return [
    blocks(["mangle", "filter"], meanwhile, before),
    blocks(["nat"], after, before),
    blocks(["filter", "mangle"], after, { ...before, ...meanwhile }),
  ].join("");
}

/** The order in which an installation's tables are removed: first what translates, last what guards. */
export const leavingOrder: Table[] = ["nat", "filter", "mangle"];

/** The text that removes an installation's rules. */
export function removal(before: Installation, tables = leavingOrder): string {
  return blocks(tables, { chains: [], jumps: [] }, before);
}

/** The text that empties an installation's chains of a table, where a jump to one of them cannot be removed. */
export function emptying(before: Installation, table: Table): string {
  const chains = before.chains.filter((chain) => chain.table === table);
  return `*${table}\n${chains.map(({ name }) => `:${name} - [0:0]\n`).join("")}COMMIT\n`;
}

/** The jumps that an installation may have in chains that cannot be read, derived from its other rules. */
export function likelyJumps(
  prefix: string,
  family: Family,
  { frontends, jumps }: Installation,
  unread: HeldChain[],
): Jump[] {
  const bindings = frontends.map(({ ipAddress }) => unservedIp(ipAddress));
  const state: DesiredState = {
    ...{ instance: "", hostClients: true, uplinks: undefined, bindings, live: [], problems: [] },
    masquerade: { ipv4: "hairpin", ipv6: "hairpin" },
  };
  const usual = layout(state, family, { segmentLength: () => undefined, tcpLoose: true }).jumps.map(
    (jump) => ({
      ...jump,
      text: jump.text.replaceAll(chainPrefix(""), prefix),
    }),
  );
  const all = unread.flatMap(({ table, name }) => {
    const texts = [...usual, ...jumps].filter((jump) => jump.table === table).map(({ text }) => text);
    const masquerade = table === "nat" ? [`-j ${prefix}-MASQ`] : [];
    return [...masquerade, ...texts].map((text) => ({ table: table as Table, from: name, text }));
  });
  // Of two that differ only in the block of IPs, the later one is from a listing, and is kept.
  const known = all.map((jump): [string, Jump] => {
    return [`${jump.table} ${jump.from} ${jump.text.replace(/-[ds] \S+ /, "")}`, jump];
  });
  return [...new Map(known).values()];
}

function blocks(
  tables: Table[],
  after: Layout,
  before: Pick<Installation, "chains" | "jumps" | "counts">,
): string {
  return tables.map((table) => block(table, after, before)).join("");
}

function block(
  table: Table,
  after: Layout,
  before: Pick<Installation, "chains" | "jumps" | "counts">,
): string {
  const here = (item: { table: string }) => item.table === table;
  const chains = after.chains.filter(here);
  const names = new Set(chains.map(({ name }) => name));
  const old = before.chains.filter(here).map(({ name }) => name);
  const lines = [
    // Declaring a chain creates it, or empties it.
    ...[...new Set([...names, ...old])].map((name) => `:${name} - [0:0]`),
    ...before.jumps.filter(here).map(({ from, text }) => `-D ${from} ${text}`),
    ...chains.flatMap((chain) => ruleLines(chain, before.counts)),
    ...jumpLines(after.jumps.filter(here)),
    ...old.filter((name) => !names.has(name)).map((name) => `-X ${name}`),
  ];
  return lines.length === 0 ? "" : `*${table}\n${lines.join("\n")}\nCOMMIT\n`;
}

/** The first rule of a binding starts with the sum of the counts of all its rules. */
function ruleLines({ role, name, rules }: Chain, counts: Installation["counts"]): string[] {
  return rules.map(({ text, binding }, index) => {
    const first = binding !== undefined && rules[index - 1]?.binding !== binding;
    const count = first ? counts.get(countKey(role, binding)) : undefined;
    const comment = binding === undefined ? "" : `-m comment --comment "${binding}" `;
    return `[${count?.packets ?? 0}:${count?.bytes ?? 0}] -A ${name} ${comment}${text}`;
  });
}

/** Inserts the jumps before all other rules, in their own order. */
function jumpLines(jumps: Jump[]): string[] {
  return jumps.map(({ from, text }, index) => {
    const position = jumps.slice(0, index).filter((other) => other.from === from).length + 1;
    return `-I ${from} ${position} ${text}`;
  });
}
