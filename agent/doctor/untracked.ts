import {
  areCertain,
  bare,
  type Condition,
  conditionsOf,
  type Dialed,
  type Extent,
  extentOf,
  names,
  opaqueTarget,
} from "./conditions.ts";

/** What a rule of others does to a packet before the magic IP is translated, so that the target does not get it. */
export type Effect =
  /** conntrack, and so every translation, leaves it alone. */
  | "notrack"
  | "drop"
  /** It is led elsewhere. */
  | "divert";

/** Such a rule. */
export interface EarlyRule {
  effect: Effect;
  /** As `ip raw` or `iptables-legacy raw`. */
  table: string;
  chain: string;
  text: string;
  /** What has to hold for it, from the base chain on. */
  conditions: Condition[];
}

/** Where the kernel enters a table's chains, and what a rule from there on can do to a magic IP. */
export interface Entry {
  chain: string;
  effects: Effect[];
}

/** The rules of a table's chains, as nft prints them. */
export type Chains = Map<string, string[]>;

/** Conntrack looks at a packet at this priority; only before it can a rule exempt the packet. */
const conntrackPriority = -200;

/** The kernel translates at this priority: chains after it see the pod's IP. */
const translationPriority = -100;

/** What a base chain's rules can do to packets to a magic IP; `ours`: the priority of the chain that translates them. */
export function effectsAt(
  { type, hook, priority }: { type: string; hook: string; priority: number },
  ours: number,
): Effect[] {
  if (!["prerouting", "output"].includes(hook)) return [];
  if (type === "nat") return priority < ours ? ["divert", "drop"] : [];
  if (priority <= conntrackPriority) return ["notrack", "drop", "divert"];
  return priority <= translationPriority ? ["drop", "divert"] : [];
}

/** How much of what is sent to a magic IP a rule meets. */
export interface Meeting {
  extent: Extent;
  /** Whether everything that the rule asks for was understood. */
  certain: boolean;
  /** Whether it names the magic IP, or a range with it. */
  named: boolean;
}

export function meeting({ conditions, chain }: EarlyRule, dialed: Dialed, uplinks: string[] = []): Meeting {
  // Cilium marks what its own programs lead to its proxy: such a packet has another destination.
  const ofCilium = /^(OLD_)?CILIUM_/.test(chain) && conditions.some(({ kind }) => kind === "mark");
  return {
    extent: ofCilium ? "none" : extentOf(conditions, dialed, uplinks),
    certain: areCertain(conditions),
    named: conditions.some((condition) => names(condition, dialed)),
  };
}

/**
 * Follows the jumps from where the kernel enters; the kernel lets no chain reach itself, and calls none deeper than 16. Rules
 * of a magic IP are left out: those of another installation on the node.
 */
export function earlyRules(family: string, table: string, entries: Entry[], chains: Chains): EarlyRule[] {
  const walk = (
    name: string,
    effects: Effect[],
    outer: Condition[],
    depth: number,
    found: EarlyRule[],
  ): void => {
    let passed: Condition[] = outer;
    for (const text of chains.get(name) ?? []) {
      if (found.length >= longest) return;
      const conditions = [...passed, ...conditionsOf(text)];
      const effect = effectOf(text);
      if (effect !== undefined && effects.includes(effect))
        found.push({ effect, table, chain: name, text: text.trim(), conditions });
      for (const target of targetsOf(text)) {
        if (chains.has(target) && depth < 16) walk(target, effects, conditions, depth + 1, found);
      }
      // What a chain that was jumped to, or a map of verdicts, let go does not come to the rules after it.
      if (/\bvmap\b/.test(text) || targetsOf(text).some(letsGo)) passed = [...passed, { kind: "unknown" }];
      // What comes after a way out holds for what did not take it.
      if (/\b(accept|drop|return|reject( with .*)?|goto \S+)$/.test(bare(text)))
        passed = [...passed, { kind: "unless", conditions: conditionsOf(text) }];
    }
  };
  const known = new Map<string, boolean>();
  /** Whether a packet that comes to the chain may not come back from it; each chain is looked at once. */
  const letsGo = (name: string): boolean => {
    const before = known.get(name);
    if (before !== undefined) return before;
    // A chain that reached itself, which the kernel refuses, would be asked for again.
    known.set(name, false);
    const answer = (chains.get(name) ?? []).some(
      (text) => /\b(accept|drop|reject|queue|vmap|goto)\b/.test(bare(text)) || targetsOf(text).some(letsGo),
    );
    known.set(name, answer);
    return answer;
  };
  return entries.flatMap(({ chain, effects }) => {
    const found: EarlyRule[] = [];
    walk(chain, effects, familyOf(family), 0, found);
    return found;
  });
}

/** Rules of one base chain: more are not told. */
const longest = 200;

/** The chains that a rule leads to; none of ours. */
export function targetsOf(rule: string): string[] {
  return [...rule.matchAll(/\b(?:jump|goto) "?([^\s",;}]+)/g)].flatMap(([, target = ""]) =>
    target.startsWith("MAGICIP-") ? [] : [target],
  );
}

function effectOf(rule: string): Effect | undefined {
  const text = bare(rule);
  if (/\bnotrack\b/.test(text) || opaqueTarget.test(text)) return "notrack";
  if (/\b(drop|reject( with .*)?|xt target "?(DROP|REJECT)"?)$/.test(text)) return "drop";
  if (/ (redirect|dnat|tproxy)( .*)?$| xt target "?(REDIRECT|DNAT|TPROXY)"?$/.test(` ${text}`))
    return "divert";
  return undefined;
}

/** A table of one family sees nothing of the other. */
function familyOf(family: string): Condition[] {
  return family === "inet" ? [] : [{ kind: "family", family: family === "ip6" ? "ipv6" : "ipv4" }];
}
