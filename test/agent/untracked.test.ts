import { describe, expect, it } from "vitest";
import { type Dialed, extentOf, untrackedLegacyRules, untrackedRules } from "../../agent/untracked.ts";

const dialed: Dialed = {
  ipAddress: "169.254.210.210",
  ports: [{ protocol: "udp", port: 8000, endPort: 8010 }],
};

/** What of it a ruleset of these rules exempts from conntrack. */
function extents(rules: string[], hook = "prerouting priority -300", other: string[] = []) {
  const listing = `table inet fw {
	chain raw {
		type filter hook ${hook}; policy accept;
${rules.map((rule) => `\t\t${rule}\n`).join("")}	}

	chain other {
${other.map((rule) => `\t\t${rule}\n`).join("")}	}
}
`;
  return untrackedRules("inet", "fw", listing).map((rule) => extentOf(rule, dialed));
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
    ["counter xt target CT", "some"],
  ])("by %s exempts %s of what is sent to a magic IP", (rule, extent) => {
    expect(extents([rule])).toEqual([extent]);
  });

  it("counts in the output hook too, and only before conntrack looked at the packet", () => {
    expect(extents(["notrack"], "output priority -300")).toEqual(["all"]);
    expect(extents(["notrack"], "prerouting priority -150")).toEqual([]);
    expect(extents(["notrack"], "forward priority -300")).toEqual([]);
  });

  it("is found behind a jump, with the jump's conditions", () => {
    expect(extents(["ip daddr 169.254.0.0/16 jump other"], undefined, ["notrack"])).toEqual(["all"]);
    expect(extents(["ip daddr 10.0.0.0/8 jump other"], undefined, ["notrack"])).toEqual(["none"]);
    expect(extents(["ip daddr vmap { 1.1.1.1 : jump other }"], undefined, ["notrack"])).toEqual(["some"]);
    expect(extents(["accept"], undefined, ["notrack"])).toEqual([]);
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
    const rules = untrackedLegacyRules("ip", "iptables-legacy", listing);
    expect(rules.map((rule) => extentOf(rule, dialed))).toEqual(["none", "some", "all"]);
  });
});
