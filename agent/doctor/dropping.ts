import { bare, opaqueTarget } from "./conditions.ts";
import type { Chains } from "./untracked.ts";

/** A chain of another program that drops forwarded packets unless one of its rules accepts them. */
export interface DroppingChain {
  tool: "nft" | "iptables" | "iptables-legacy";
  family: "ip" | "ip6" | "inet";
  table: string;
  chain: string;
  /** The program it belongs to, where names show it. */
  owner: string | undefined;
  /** What drops: the chain's policy, or the rule that gets all packets that none before accepts. */
  by: string;
  /** Packets that were sent to these addresses are accepted before. */
  accepted: string[];
}

/** What drops a translated packet that meets no other rule's conditions; undefined: the chain lets it pass. */
export function droppedBy(
  name: string,
  policy: string,
  chains: Chains,
): Pick<DroppingChain, "by" | "accepted"> | undefined {
  const accepted: string[] = [];
  const verdict = follow(name, chains, accepted, 0) ?? (policy === "drop" ? "its policy" : undefined);
  return verdict === undefined || verdict === "accept" ? undefined : { by: verdict, accepted };
}

/** `accept`, the rule that drops, or undefined where the chain ends. Only jumps without conditions are followed. */
function follow(name: string, chains: Chains, accepted: string[], depth: number): string | undefined {
  for (const rule of chains.get(name) ?? []) {
    const text = bare(rule);
    // 0x20 is `dnat`.
    if (/^(ct status (0x0*20|dnat) )?accept$/.test(text)) return "accept";
    if (/^(drop|reject( with .*)?|xt target "?(DROP|REJECT)"?)$/.test(text) && !opaqueTarget.test(text))
      return `its rule "${text}"`;
    if (text === "return") return undefined;
    accepted.push(...acceptedBy(text));
    const [, way, target = ""] = /^(jump|goto) (\S+)$/.exec(text) ?? [];
    if (way === undefined || depth >= 16) continue;
    const verdict = follow(target, chains, accepted, depth + 1);
    if (verdict !== undefined || way === "goto") return verdict;
  }
  return undefined;
}

/** The addresses to which a rule accepts packets, by the destination before the translation. */
function acceptedBy(rule: string): string[] {
  const [, list = ""] = /^ct original (?:ip6? )?daddr (\{[^}]*\}|\S+) accept$/.exec(rule) ?? [];
  return list
    .replace(/[{}]/g, "")
    .split(",")
    .map((ip) => ip.trim())
    .filter(Boolean);
}

/** The firewall that a chain belongs to, by the names of its table and chains. */
export function ownerOf(table: string, chains: string[]): string | undefined {
  if (table === "firewalld") return "firewalld";
  const owners: [RegExp, string][] = [
    [/^ufw6?-/, "ufw"],
    [/^DOCKER/, "Docker"],
  ];
  return owners.find(([pattern]) => chains.some((name) => pattern.test(name)))?.[1];
}
