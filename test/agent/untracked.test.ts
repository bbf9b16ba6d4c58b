import { describe, expect, it } from "vitest";
import type { Dialed } from "../../agent/doctor/conditions.ts";
import { parseRules } from "../../agent/doctor/chains.ts";
import { earlyLegacyRules } from "../../agent/doctor/legacy.ts";
import { type Effect, type Entry, earlyRules, effectsAt, meeting } from "../../agent/doctor/untracked.ts";

const dialed: Dialed = {
  ipAddress: "169.254.210.210",
  ports: [{ protocol: "udp", port: 8000, endPort: 8010 }],
};

/** What of it a ruleset of these rules exempts from conntrack. */
function extents(rules: string[], place = before, other: string[] = []) {
  return met("notrack", rules, place, other).map(({ extent }) => extent);
}

const before = { type: "filter", hook: "prerouting", priority: -300 };

/** How the rules with this effect meet it. */
function met(effect: Effect, rules: string[], place = before, other: string[] = []) {
  const chains = new Map([
    ["early", rules],
    ["other", other],
  ]);
  const entries: Entry[] = [{ chain: "early", effects: effectsAt(place, -110) }];
  return earlyRules("inet", "inet fw", entries, chains)
    .filter((rule) => rule.effect === effect)
    .map((rule) => meeting(rule, dialed, ["eth0"]));
}

describe("a rule that exempts from conntrack", () => {
  it.each([
    ["notrack", "all"],
    ["counter notrack", "all"],
    ['ip daddr 169.254.0.0/16 counter packets 3 bytes 180 notrack comment "jump other"', "all"],
    ["ip daddr 169.254.210.210 notrack", "all"],
    ["ip daddr { 10.0.0.1-10.0.0.9, 169.254.0.1-169.254.255.1 } notrack", "all"],
    ["ip daddr != 10.0.0.0/8 notrack", "all"],
    ["ip daddr != 169.254.0.0/16 notrack", "none"],
    ["ip daddr 169.254.20.10 udp dport 53 counter notrack", "none"],
    ["ip daddr @set notrack", "some"],
    ["ip6 daddr fd00::/8 notrack", "none"],
    ["meta nfproto 2 notrack", "all"],
    ["meta nfproto 10 notrack", "none"],
    ["udp dport 53 notrack", "none"],
    ["udp dport 8000-8020 notrack", "all"],
    ["udp dport { 53, 8005 } notrack", "some"],
    ["udp dport != 53 notrack", "some"],
    ["tcp dport 8000-8010 notrack", "none"],
    ["meta l4proto 17 notrack", "all"],
    ["meta l4proto 6 notrack", "none"],
    ["meta l4proto { 6, 17 } notrack", "some"],
    ["meta l4proto != 6 notrack", "some"],
    ["ip saddr 10.0.0.0/8 notrack", "some"],
    ["meta mark & 0x00000f00 == 0x00000200 notrack", "some"],
    ['iifname "lo" notrack', "none"],
    ['iifname != "lo" notrack', "all"],
    ['iifname "eth*" notrack', "some"],
    ['iifname "eth0" notrack', "none"],
    ["ip saddr 169.254.20.10 udp sport 53 counter notrack", "none"],
    ["ip saddr 10.96.0.10 tcp sport 8080 notrack", "none"],
    ["udp sport 53 notrack", "none"],
    ["udp sport 40000 notrack", "some"],
    ["ip saddr 0.0.0.0/0 notrack", "all"],
    ["counter xt target CT", "some"],
  ])("by %s exempts %s of what is sent to a magic IP", (rule, extent) => {
    expect(extents([rule])).toEqual([extent]);
  });

  it("counts in the output hook too, and only before conntrack looked at the packet", () => {
    expect(extents(["notrack"], { ...before, hook: "output" })).toEqual(["all"]);
    expect(extents(["notrack"], { ...before, priority: -150 })).toEqual([]);
    expect(extents(["notrack"], { ...before, hook: "forward" })).toEqual([]);
  });

  it("is found behind a jump, with the jump's conditions", () => {
    expect(extents(["ip daddr 169.254.0.0/16 jump other"], undefined, ["notrack"])).toEqual(["all"]);
    expect(extents(["ip daddr 10.0.0.0/8 jump other"], undefined, ["notrack"])).toEqual(["none"]);
    expect(extents(["ip daddr vmap { 1.1.1.1 : jump other }"], undefined, ["notrack"])).toEqual(["some"]);
    expect(extents(["accept"], undefined, ["notrack"])).toEqual([]);
    expect(extents(["ip daddr 10.0.0.0/8 accept", "notrack"])).toEqual(["all"]);
    expect(extents(["ip daddr 169.254.0.0/16 accept", "notrack"])).toEqual(["none"]);
  });

  it("may be reached by some only, where a rule before it lets packets off", () => {
    expect(extents(["ip saddr 10.1.0.0/16 accept", "notrack"])).toEqual(["some"]);
  });

  it("is read from iptables-legacy as well", () => {
    const listing = `-P PREROUTING ACCEPT
-P OUTPUT ACCEPT
-N LOCAL
-A PREROUTING -d 169.254.20.10/32 -p udp -m udp --dport 53 -j CT --notrack
-A PREROUTING ! -d 10.0.0.0/8 -m comment --comment "all but -j ACCEPT" -j LOCAL
-A OUTPUT -p udp -m multiport --dports 53,8000:8010 -j NOTRACK
-A LOCAL -s 10.0.0.0/8 -j CT --notrack`;
    const rules = earlyLegacyRules("ip", "iptables-legacy", "raw", listing);
    expect(rules.map((rule) => meeting(rule, dialed).extent)).toEqual(["none", "some", "all"]);
  });

  it("by a mark of Cilium meets nothing in Cilium's chains, and something unknown elsewhere", () => {
    const marked = ["meta mark & 0x00000f00 == 0x00000200 notrack"];
    const chains = new Map([["CILIUM_PRE_raw", marked]]);
    const [rule] = earlyRules("ip", "ip raw", [{ chain: "CILIUM_PRE_raw", effects: ["notrack"] }], chains);
    expect(rule && meeting(rule, dialed).extent).toBe("none");
    expect(met("notrack", marked)).toEqual([{ extent: "some", certain: false, named: false }]);
    expect(met("notrack", ["ip saddr 10.0.0.0/8 notrack"])).toMatchObject([
      { extent: "some", certain: true },
    ]);
  });
});

describe("a rule that takes packets before they are translated", () => {
  it.each([
    ["ip daddr 169.254.0.0/16 drop", "drop", { extent: "all", named: true }],
    ["ip daddr 169.254.0.0/16 counter reject with icmp host-unreachable", "drop", { extent: "all" }],
    ['iifname "eth0" ip daddr 169.254.0.0/16 drop', "drop", { extent: "none" }],
    [
      "ip daddr 169.254.0.0/16 ip saddr 10.0.0.0/8 drop",
      "drop",
      { extent: "some", certain: true, named: true },
    ],
    ["ct state invalid drop", "drop", { extent: "some", certain: false, named: false }],
    ["ip daddr 169.254.210.210 redirect", "divert", { extent: "all", named: true }],
    ["ip daddr 169.254.210.210 udp dport 8000-8010 dnat to 10.0.0.1:53", "divert", { extent: "all" }],
    ["ip daddr 169.254.169.254 tcp dport 80 dnat to 10.0.0.1:80", "divert", { extent: "none" }],
  ] as const)("%s", (rule, effect, expected) => {
    expect(met(effect, [rule])).toMatchObject([expected]);
  });

  it("is looked for before our own translation only", () => {
    const nat = (priority: number) => ({ type: "nat", hook: "prerouting", priority });
    const redirect = ["ip daddr 169.254.210.210 redirect"];
    expect(met("divert", redirect, nat(-150))).toHaveLength(1);
    expect(met("divert", redirect, nat(-100))).toEqual([]);
    expect(met("drop", ["drop"], { ...before, priority: -99 })).toEqual([]);
  });

  it("is none of a magic IP", () => {
    expect(met("drop", ["jump MAGICIP-0123-in"], before)).toEqual([]);
  });
});

it("a listing of nft gives the rules of each chain", () => {
  const listing = `table inet fw {
\tset hosts {
\t\ttype ipv4_addr
\t}

\tchain raw {
\t\ttype filter hook prerouting priority -300; policy accept;
\t\tnotrack
\t}

\tchain other {
\t}
}`;
  expect([...parseRules(listing)]).toEqual([
    ["raw", ["notrack"]],
    ["other", []],
  ]);
});

describe("a rule that comes after others had their say", () => {
  it.each([
    ["a chain that lets some go", ["jump other", "drop"]],
    ["a map of verdicts", ["ip daddr vmap { 169.254.0.0/16 : accept }", "drop"]],
  ])("is not certain to meet it: %s", (_what, rules) => {
    const found = met("drop", rules, before, ['iifname "cni0" accept']);
    expect(found.map(({ certain }) => certain)).not.toContain(true);
  });
});
