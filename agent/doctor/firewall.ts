import type { Scope, Survey } from "./scope.ts";
import type { Finding } from "../finding.ts";
import type { DroppingChain } from "./dropping.ts";
import { uplinks } from "../desired/node.ts";
import { ofFamily } from "./switches.ts";
import { type EarlyRule, type Effect, type Meeting, meeting } from "./untracked.ts";

/** Chains that drop forwarded packets. */
export function policyFindings(scope: Scope, { dropping }: Survey): Finding[] {
  return dropping.flatMap((chain) => {
    const ips = ofFamily(scope, chain.family).filter((ip) => !chain.accepted.includes(ip));
    if (ips.length === 0) return [];
    const owner = chain.owner === undefined ? "" : ` (${chain.owner})`;
    const where =
      chain.tool === "nft"
        ? `the chain ${chain.chain} of the table ${chain.family} ${chain.table}`
        : `the chain ${chain.chain} of ${chain.tool}, family ${chain.family}, table ${chain.table},`;
    return [
      {
        code: "FORWARD_POLICY_DROP",
        severity: "warn",
        message: `${where}${owner} drops by ${chain.by} what it does not accept before, and an accept elsewhere does not help: pods' connections to ${ips.join(", ")} time out unless a rule of it lets pods reach pods`,
        remedy: `${ips.map((ip) => acceptance(chain, ip)).join("; ")}; the same belongs where that firewall keeps its rules`,
      },
    ];
  });
}

function acceptance({ tool, family, table, chain }: DroppingChain, ip: string): string {
  const ipv6 = ip.includes(":");
  if (tool === "nft")
    return `nft insert rule ${family} ${table} ${chain} ct original ${ipv6 ? "ip6" : "ip"} daddr ${ip} accept`;
  const command = ipv6 ? tool.replace("iptables", "ip6tables") : tool;
  return `${command} -I ${chain} -m conntrack --ctorigdst ${ip} -j ACCEPT`;
}

/** Rules that exempt packets to a magic IP from conntrack. */
export function untrackedFindings(scope: Scope, survey: Survey): Finding[] {
  return early(scope, survey, "notrack").map(({ rule, ips, all, certain }): Finding => {
    const where = `the rule "${rule.text}" in the chain ${rule.chain} of the table ${rule.table}`;
    const cannot = "it cannot be translated, and times out";
    if (!all && !certain) {
      const message = `${where} exempts packets from conntrack on conditions that are not understood here: if something that is sent to ${ips} meets them, ${cannot}`;
      const remedy = `nothing has to be done where pods reach ${ips}`;
      return { code: "NOTRACK", severity: "info", message, remedy };
    }
    const message = `${where} exempts ${all ? "" : "some of "}what is sent to ${ips} from conntrack: ${cannot}`;
    const remedy = `let the rule spare ${ips} (Cilium's Helm value installNoConntrackIptablesRules adds such rules)`;
    return { code: "NOTRACK", severity: all ? "fail" : "warn", message, remedy };
  });
}

/** Rules that take packets to a magic IP before they are translated. */
export function interceptingFindings(scope: Scope, survey: Survey): Finding[] {
  const found = [...early(scope, survey, "drop"), ...early(scope, survey, "divert")];
  return found.flatMap(({ rule, ips, all, certain, named }) => {
    // A rule that asks for more than the destination must name the magic IP: firewalls are full of other ones.
    if (!all && !named) return [];
    const what = rule.effect === "drop" ? "drops" : "leads elsewhere";
    return [
      {
        code: rule.effect === "drop" ? "DROPPED_BEFORE" : "TRANSLATED_BEFORE",
        severity: all ? "fail" : certain ? "warn" : "info",
        message: `the rule "${rule.text}" in the chain ${rule.chain} of the table ${rule.table} ${what} ${all ? "" : certain ? "some of " : "on conditions that are not understood here "}what is sent to ${ips} before it is translated`,
        remedy: `let the rule spare ${ips}, or choose another magic IP that it does not concern`,
      },
    ];
  });
}

interface Met extends Omit<Meeting, "extent"> {
  rule: EarlyRule;
  ips: string;
  all: boolean;
}

/** The rules with this effect that meet packets to a magic IP, each with its worst case. */
function early({ dialed }: Scope, { early: rules, routes }: Survey, effect: Effect): Met[] {
  const outside = uplinks(routes);
  return rules
    .filter((rule) => rule.effect === effect)
    .flatMap((rule) => {
      const hit = dialed
        .map((one) => ({ ip: one.ipAddress, ...meeting(rule, one, outside) }))
        .filter(({ extent }) => extent !== "none");
      if (hit.length === 0) return [];
      return [
        {
          rule,
          ips: hit.map(({ ip }) => ip).join(", "),
          all: hit.some(({ extent }) => extent === "all"),
          certain: hit.every(({ certain }) => certain),
          named: hit.some(({ named }) => named),
        },
      ];
    });
}
