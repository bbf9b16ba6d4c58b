import type { Protocol } from "../../config/config.ts";
import type { Frontend } from "../../desired/state.ts";

/** Packets and bytes that rules have counted. */
export interface Counted {
  packets: number;
  bytes: number;
}

/** One of iptables' own chains, or one of ours. */
export interface HeldChain {
  table: string;
  name: string;
}

/** A rule of ours in one of iptables' own chains. */
export interface HeldJump {
  table: string;
  from: string;
  /** Matches and target, as iptables-restore takes them. */
  text: string;
}

/** What an installation has in one family's tables. */
export interface Installation {
  /** Undefined when another program removed the rules that name it. */
  instance: string | undefined;
  chains: HeldChain[];
  jumps: HeldJump[];
  /** Whether another program's rule stands before one of ours in iptables' own chains. */
  displaced: boolean;
  /** What its rules counted, by `countKey`. */
  counts: Map<string, Counted>;
  /** All its rules without counters, for comparison. */
  rules: string;
  /** The bindings that its rules name. */
  frontends: Frontend[];
}

/** An installation without any rules. */
export const nothing: Installation = {
  ...{ instance: undefined, chains: [], jumps: [], displaced: false },
  ...{ counts: new Map(), rules: "", frontends: [] },
};

/** What chains are for; a name is `MAGICIP-<instance's hash>-<role>`, and `-<number>` for the part of one magic IP. */
export type Role = "FORGED" | "COUNT" | "GUARD" | "REFUSE" | "LIVE" | "DNAT" | "MASQ";

/** The start of the comment that names a chain's installation. */
export const ownerMark = "magic-ip:";

/** The key of what a binding's rules of one role counted. */
export const countKey = (role: string, binding: string) => `${role} ${binding}`;

/**
 * The installations in the output of `iptables-save -c`, by the start of their chains' names. Most lines on a node are
 * kube-proxy's, so each is parsed no further than needed.
 */
export function parseListing(text: string): Map<string, Installation> {
  const found = new Map<string, Draft>();
  const crowded = new Set<string>();
  let table = "";
  for (const line of text.split("\n")) {
    if (line.startsWith("*")) table = line.slice(1);
    else if (line.startsWith(":MAGICIP-")) addChain(found, table, line.slice(1).split(" ")[0] ?? "");
    else if (line.includes("MAGICIP-")) addRule(found, crowded, table, line);
    else if (line !== "") crowded.add(`${table} ${/-A (\S+)/.exec(line)?.[1]}`);
  }
  return new Map([...found].map(([prefix, draft]) => [prefix, installationOf(draft)]));
}

/** The frontend that `bindingName` gave this name. */
export function parseBindingName(name: string): Frontend | undefined {
  const special = /^(?:\[([0-9a-f.:]+)\]|([0-9.]+)):(\d+)(?:-(\d+))?\/(tcp|udp|sctp)$/.exec(name);
  if (special !== null) {
    const [, ipv6, ipv4, port, endPort, protocol] = special;
    return {
      ipAddress: ipv6 ?? ipv4 ?? "",
      protocol: protocol as Protocol,
      port: Number(port),
      endPort: Number(endPort ?? port),
    };
  }
  if (!/^[0-9a-f.:]+$/.test(name)) return undefined;
  return { ipAddress: name, protocol: undefined, port: 0, endPort: 65535 };
}

interface Draft extends Omit<Installation, "rules" | "frontends"> {
  lines: { chain: string; text: string }[];
  bindings: Set<string>;
}

function draftOf(found: Map<string, Draft>, prefix: string): Draft {
  const known = found.get(prefix);
  if (known !== undefined) return known;
  const draft: Draft = {
    ...{ instance: undefined, chains: [], jumps: [], displaced: false, counts: new Map() },
    ...{ lines: [], bindings: new Set<string>() },
  };
  found.set(prefix, draft);
  return draft;
}

function addChain(found: Map<string, Draft>, table: string, name: string): void {
  const parts = partsOf(name);
  if (parts !== undefined) draftOf(found, parts.prefix).chains.push({ table, name });
}

function addRule(found: Map<string, Draft>, crowded: Set<string>, table: string, line: string): void {
  const [, packets, bytes, chain = "", text = ""] = /^(?:\[(\d+):(\d+)\] )?-A (\S+) (.*)$/.exec(line) ?? [];
  const own = partsOf(chain);
  if (own === undefined) {
    addJump(found, crowded, { table, from: chain, text });
    return;
  }
  const draft = draftOf(found, own.prefix);
  const comment = commentOf(text);
  draft.lines.push({ chain: `${table} ${chain}`, text });
  if (comment === undefined) return;
  if (comment.startsWith(ownerMark)) draft.instance = comment.slice(ownerMark.length);
  else if (parseBindingName(comment) !== undefined) {
    const key = countKey(own.role, comment);
    const before = draft.counts.get(key) ?? { packets: 0, bytes: 0 };
    draft.counts.set(key, { packets: before.packets + Number(packets), bytes: before.bytes + Number(bytes) });
    draft.bindings.add(comment);
  }
}

/** A comment may contain text that looks like a jump, so comments are removed before the target is looked for. */
function addJump(found: Map<string, Draft>, crowded: Set<string>, jump: HeldJump): void {
  const target = /(?:^| )-[jg] (MAGICIP-\S+)/.exec(jump.text.replace(/"(?:[^"\\]|\\.)*"/g, '""'))?.[1];
  const parts = partsOf(target ?? "");
  const chain = `${jump.table} ${jump.from}`;
  if (parts === undefined) {
    crowded.add(chain);
    return;
  }
  const draft = draftOf(found, parts.prefix);
  draft.jumps.push(jump);
  draft.lines.push({ chain, text: jump.text });
  // Another installation's jumps may stand before ours: only one of the two can be first.
  draft.displaced ||= crowded.has(chain);
}

function installationOf({ lines, bindings, ...draft }: Draft): Installation {
  const chains = draft.chains.map(({ table, name }) => `:${table} ${name}`).toSorted();
  // The order of chains is the tool's, that of a chain's rules is ours.
  const byChain = Object.entries(Object.groupBy(lines, ({ chain }) => chain)).toSorted(([a], [b]) =>
    a < b ? -1 : 1,
  );
  const rules = byChain.flatMap(([chain, of = []]) => of.map(({ text }) => `${chain} ${text}`));
  const frontends = [...bindings].flatMap((name) => parseBindingName(name) ?? []);
  return { ...draft, rules: [...chains, ...rules].join("\n"), frontends };
}

function partsOf(chain: string): { prefix: string; role: string } | undefined {
  const [, prefix, role] = /^(MAGICIP-[0-9a-f]{8})-([A-Z]+)(?:-[0-9a-z]+)?$/.exec(chain) ?? [];
  return prefix === undefined || role === undefined ? undefined : { prefix, role };
}

function commentOf(text: string): string | undefined {
  const [, quoted, plain] = /(?:^| )--comment (?:"((?:[^"\\]|\\.)*)"|(\S+))/.exec(text) ?? [];
  return quoted?.replace(/\\(.)/g, "$1") ?? plain;
}
