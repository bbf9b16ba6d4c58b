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

/** What another program's rule does to a packet before the translation, so that the target does not get it. */
export type Effect =
  /** conntrack ignores the packet, so no rule translates it. */
  | "notrack"
  | "drop"
  /** The packet is led elsewhere. */
  | "divert";

/** A rule with such an effect. */
export interface EarlyRule {
  effect: Effect;
  /** As `ip raw` or `iptables-legacy raw`. */
  table: string;
  chain: string;
  text: string;
  /** All conditions for it, from the base chain on. */
  conditions: Condition[];
}

/** A base chain of a table, and what its rules can do to packets to a magic IP. */
export interface Entry {
  chain: string;
  effects: Effect[];
}

/** The rules of a table's chains, as nft prints them. */
export type Chains = Map<string, string[]>;

/** conntrack looks at a packet at this priority; a rule can exempt the packet only before that. */
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

/** Which part of the packets to a magic IP a rule meets. */
export interface Meeting {
  extent: Extent;
  /** Whether all conditions of the rule were understood. */
  certain: boolean;
  /** Whether it names the magic IP, or a range that contains it. */
  named: boolean;
}

export function meeting({ conditions, chain }: EarlyRule, dialed: Dialed, uplinks: string[] = []): Meeting {
  // Cilium marks the packets that its own programs lead to its proxy; such a packet has another destination.
  const ofCilium = /^(OLD_)?CILIUM_/.test(chain) && conditions.some(({ kind }) => kind === "mark");
  return {
    extent: ofCilium ? "none" : extentOf(conditions, dialed, uplinks),
    certain: areCertain(conditions),
    named: conditions.some((condition) => names(condition, dialed)),
  };
}

/**
 * Follows the jumps from the base chains. The kernel lets no chain reach itself, and allows 16 levels of jumps. Rules
 * of other installations on the node are left out.
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
      // The next rules get only packets that come back from a jumped-to chain or a verdict map: on unknown conditions.
      if (/\bvmap\b/.test(text) || targetsOf(text).some(letsGo)) passed = [...passed, { kind: "unknown" }];
      // The rules after a verdict get only packets that did not meet its conditions.
      if (/\b(accept|drop|return|reject( with .*)?|goto \S+)$/.test(bare(text)))
        passed = [...passed, { kind: "unless", conditions: conditionsOf(text) }];
    }
  };
  const known = new Map<string, boolean>();
  /** Whether a packet that enters the chain may not come back from it; each chain is looked at once. */
  const letsGo = (name: string): boolean => {
    const before = known.get(name);
    if (before !== undefined) return before;
    // Ends the recursion for a chain that reaches itself, which the kernel refuses.
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

/** Rules of one base chain that are reported at most. */
const longest = 200;

/** The chains that a rule leads to, without ours. */
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

/** A table of one family sees no packets of the other. */
function familyOf(family: string): Condition[] {
  return family === "inet" ? [] : [{ kind: "family", family: family === "ip6" ? "ipv6" : "ipv4" }];
}
