import { describe, expect, it } from "vitest";
import type { Config } from "../../agent/config/config.ts";
import { findings, report } from "../../agent/doctor/doctor.ts";
import type { Survey, ToolState } from "../../agent/doctor/scope.ts";
import { droppedBy } from "../../agent/doctor/dropping.ts";
import { chainCollector } from "../../agent/doctor/chains.ts";
import { servicesOfMap, servicesOfRules } from "../../agent/doctor/services.ts";
import { parseIpv6Routes } from "../../agent/desired/node.ts";
import { address, config } from "./state.ts";
import { survey } from "./survey.ts";

const broken = (fault: "MISSING" | "FAILED" | "CRASHED", message: string, lacking?: string[]): ToolState => ({
  works: false,
  fault,
  message,
  ...(lacking === undefined ? {} : { lacking }),
});

const withBackend = (backend: Config["backend"]): Config => ({ ...config(), backend });

const codes = (changes: Partial<Survey>, of: Config | undefined = config()) =>
  findings(of, survey(changes)).map(({ severity, code }) => `${severity} ${code}`);

describe("what can put the rules into the kernel", () => {
  const missing = broken("MISSING", "nft is not installed on this node's image");

  it.each([
    ["auto", [], ["fail NFT_MISSING"]],
    ["auto", ["iptables-nft"], ["warn NFT_MISSING"]],
    ["nftables", ["iptables-nft"], ["fail NFT_MISSING"]],
    ["iptables", ["iptables-nft"], ["info NFT_MISSING"]],
    ["iptables", [], ["fail IPTABLES_MISSING", "info NFT_MISSING"]],
  ] as const)("with the backend %s, no nft, and of iptables %j", (backend, iptables, expected) => {
    expect(codes({ nft: missing, iptables: [...iptables] }, withBackend(backend))).toEqual(expected);
  });

  it.each([
    [
      "FAILED",
      "nft failed: netlink: Error: cache initialization failed: Protocol not supported",
      "NF_TABLES_MISSING",
    ],
    ["FAILED", "nft: Operation not permitted", "NET_ADMIN_MISSING"],
    ["CRASHED", "nft was ended by SIGSEGV", "NFT_UNUSABLE"],
  ] as const)("%s: %s", (fault, message, code) => {
    expect(codes({ nft: broken(fault, message) })).toEqual([`fail ${code}`]);
  });

  it("names the parts of the kernel that are not there, and how to load them", () => {
    const nft = broken("FAILED", "No such file or directory", ["reject (nft_reject_inet)"]);
    const [finding] = findings(config(), survey({ nft }));
    expect(finding?.message).toContain("this node's kernel does not know reject (nft_reject_inet)");
    expect(finding?.remedy).toContain("modprobe -a");
  });
});

it("one missing capability is told once, whichever tool lacks it", () => {
  const denied = broken("FAILED", "conntrack: Operation not permitted");
  expect(codes({ conntrack: denied })).toEqual(["fail NET_ADMIN_MISSING"]);
  expect(codes({ conntrack: denied, nft: broken("FAILED", "nft: Operation not permitted") })).toEqual([
    "fail NET_ADMIN_MISSING",
  ]);
});

it.each([
  [900, 1000, []],
  [901, 1000, ["warn CONNTRACK_TABLE_FULL"]],
  [5, 0, []],
])("%i of %i connections", (count, maximum, expected) => {
  expect(codes({ conntrackTable: { count, maximum } })).toEqual(expected);
});

describe("a node without IPv6", () => {
  const uplink6 = parseIpv6Routes(
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00450003 eth0",
  );
  const routes = [...survey().routes, ...uplink6];
  const of = (ipAddress: string, ipv6Address?: string) =>
    config({ addresses: [address({ ipAddress, ...(ipv6Address ? { ipv6Address } : {}) })] });

  it("still serves the IPv4 half of an address, and is not unready for the other", () => {
    expect(codes({ routes, ipv6: false }, of("169.254.210.210", "fd00:210::210"))).toEqual(["warn IPV6_OFF"]);
    const notForwarding = { routes, forwarding: { ipv4: true, ipv6: false } };
    expect(codes(notForwarding, of("169.254.210.210", "fd00:210::210"))).toEqual([
      "warn IPV6_FORWARDING_OFF",
    ]);
  });

  it("or without IPv4 still serves the other half, and cannot serve where it has neither", () => {
    const both = of("169.254.210.210", "fd00:210::210");
    const withoutIpv4 = { routes, forwarding: { ipv4: false, ipv6: true } };
    expect(codes(withoutIpv4, both)).toEqual(["warn FORWARDING_OFF"]);
    expect(codes(withoutIpv4, of("169.254.210.210"))).toEqual(["fail FORWARDING_OFF"]);
    expect(codes({ routes, forwarding: { ipv4: false, ipv6: false } }, both)).toEqual([
      "fail FORWARDING_OFF",
      "fail IPV6_FORWARDING_OFF",
    ]);
  });

  it("cannot serve an address that has no other half", () => {
    expect(codes({ routes, ipv6: false }, of("fd00:210::210"))).toEqual(["fail IPV6_OFF"]);
  });
});

describe("Cilium", () => {
  const both = { ipv4: true, ipv6: true };
  const neither = { ipv4: false, ipv6: false };
  const fails = "fail CILIUM_REPLACES_KUBE_PROXY";
  const hidden = "info CLIENTS_HIDDEN";

  it.each([
    ["kube-proxy, iptables masquerade", false, both, true, "auto", ["info CILIUM"]],
    ["replacement, eBPF host routing", true, neither, false, "auto", [fails]],
    ["replacement, eBPF host routing", true, neither, false, "always", [fails, hidden]],
    ["replacement, legacy host routing", true, neither, true, "auto", [fails]],
    ["replacement, legacy host routing", true, neither, true, "always", ["warn CILIUM", hidden]],
    ["replacement, iptables masquerade", true, both, true, "auto", [fails]],
    ["replacement, iptables masquerade", true, both, false, "always", ["warn CILIUM", hidden]],
    ["kube-proxy, no masquerade", false, neither, true, "auto", ["fail CILIUM_PASSES_BY"]],
    ["kube-proxy, IPv6 not masqueraded", false, { ipv4: true, ipv6: false }, true, "auto", ["info CILIUM"]],
  ] as const)(
    "with %s (%s, %j, forwards %s), masquerade %s",
    (_, replacesKubeProxy, masquerades, forwards, masquerade, expected) => {
      const cilium = { replacesKubeProxy, masquerades, forwards };
      expect(codes({ cilium }, { ...config(), masquerade })).toEqual(expected);
    },
  );

  it("is judged for each family, and doubtful where its rules cannot be read", () => {
    const cilium = { replacesKubeProxy: false, masquerades: { ipv4: true, ipv6: false }, forwards: true };
    const addresses = [address({ ipAddress: "169.254.210.210", ipv6Address: "fd00:210::210" })];
    const found = findings(config({ addresses, hostClients: false }), survey({ cilium }));
    expect(found.map(({ severity, message }) => [severity, /169\.254\.210\.210/.test(message)])).toEqual([
      ["fail", false],
      ["info", true],
    ]);
    expect(codes({ cilium: "unknown" })).toEqual(["warn CILIUM"]);
  });

  it("has the remedy that was tried, and it leads to what the node is not unfit for", () => {
    const cilium = { replacesKubeProxy: true, masquerades: neither, forwards: false };
    const [finding] = findings(config(), survey({ cilium }));
    expect(finding?.remedy).toMatch(
      /^Cilium's Helm value bpf\.hostLegacyRouting=true and masquerade: always /,
    );
    const after = { cilium: { ...cilium, forwards: true } };
    expect(codes(after, { ...config(), masquerade: "always" })).toEqual(["warn CILIUM", hidden]);
  });
});

describe("the report", () => {
  it("has the worst first, each with its remedy, and ends with the verdict", () => {
    const { text, ok } = report(
      config(),
      survey({
        forwarding: { ipv4: false, ipv6: false },
        bridgeNetfilter: { ipv4: false, ipv6: false },
        interfaces: ["ovn-k8s-mp0"],
      }),
    );
    expect(ok).toBe(false);
    const lines = text.split("\n").filter((line) => !line.startsWith("ok "));
    expect(lines.map((line) => line.slice(0, 12).trim())).toEqual([
      "fail  FORWAR",
      "→ sysc",
      "warn  OPEN_V",
      "→ call",
      "info  BRIDGE",
      "→ to k",
      "this node ca",
      "",
    ]);
    expect(lines.at(-2)).toBe("this node cannot serve 169.254.210.210 as it is: 1 to repair");
  });

  it("is a success with warnings, and says that there are some", () => {
    const { text, ok } = report(config(), survey({ interfaces: ["antrea-gw0"] }));
    expect(ok).toBe(true);
    expect(text).toMatch(/\nthis node can serve 169\.254\.210\.210; 1 to look at\n$/);
  });

  it("calls nothing fine that could not be read", () => {
    const { text } = report(
      config(),
      survey({ unreadable: ["the table inet fw: nft was ended by SIGSEGV"] }),
    );
    expect(text).not.toMatch(/^ok +(FORWARD_POLICY|NOTRACK|ADDRESSES|RULES) /m);
    expect(text).toMatch(
      /^info +RULES_UNREADABLE +could not be read: the table inet fw: nft was ended by SIGSEGV$/m,
    );
  });

  it("is for the address of the examples where no configuration is given", () => {
    expect(report(undefined, survey()).text).toMatch(/^this node can serve 169\.254\.210\.210$/m);
  });
});

describe("others' rules", () => {
  it("are found by their chains' hooks", () => {
    const listing = `table inet fw {
	chain in {
		type filter hook forward priority -10; policy drop;
	}
	chain other {
	}
}
table ip nat {
	chain KUBE-SERVICES {
	}
}`;
    const { chains, take } = chainCollector();
    for (const line of listing.split("\n")) take(line);
    expect(chains.base).toMatchObject([
      {
        family: "inet",
        table: "fw",
        name: "in",
        type: "filter",
        hook: "forward",
        priority: -10,
        policy: "drop",
      },
    ]);
    expect(chains.known).toEqual(new Set(["ip nat KUBE-SERVICES"]));
    expect(chains.sizes).toEqual(
      new Map([
        ["inet fw", 2],
        ["ip nat", 1],
      ]),
    );
  });

  it.each([
    [
      ["jump zones", "reject with icmpx admin-prohibited"],
      "accept",
      'its rule "reject with icmpx admin-prohibited"',
    ],
    [["counter jump zones"], "drop", "its policy"],
    [["jump strict"], "accept", 'its rule "drop"'],
    [["ct status dnat accept", "drop"], "accept", undefined],
    [["ct state established accept", "accept", "drop"], "drop", undefined],
    [["iifname eth0 drop"], "accept", undefined],
  ])("%j under the policy %s drop by %s", (forward, policy, by) => {
    const chains = new Map([
      ["forward", forward],
      ["zones", ["ip saddr 10.0.0.0/8 accept", "return", "drop"]],
      ["strict", ["ct original ip daddr { 10.0.0.1, 10.0.0.2 } accept", "drop"]],
    ]);
    expect(droppedBy("forward", policy, chains)?.by).toBe(by);
    const accepted = by === 'its rule "drop"' ? ["10.0.0.1", "10.0.0.2"] : [];
    if (by !== undefined) expect(droppedBy("forward", policy, chains)?.accepted).toEqual(accepted);
  });

  it("of kube-proxy name Services' addresses", () => {
    const map = `		elements = { 10.96.0.10 . 17 . 53 comment "kube-system/kube-dns:dns" : drop,
			     10.96.0.1 . 6 . 443 : goto service-2QRHZV4L-default/kubernetes/tcp/https,
			     192.0.2.7 . 6 . 80 : goto external-42NFTM6N-shop/cart/tcp/http }`;
    expect(servicesOfMap(map)).toEqual([
      { ipAddress: "10.96.0.10", service: undefined, external: true },
      { ipAddress: "10.96.0.1", service: "default/kubernetes", external: false },
      { ipAddress: "192.0.2.7", service: "shop/cart", external: true },
    ]);
    const rules = `-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -j KUBE-SVC-X
-A KUBE-SERVICES ! -d 127.0.0.0/8 -j KUBE-NODEPORTS
		meta l4proto 6 ip daddr 10.96.0.2  tcp dport 80 counter jump KUBE-SVC-0
		ip daddr 192.0.2.7  tcp dport 80 counter jump KUBE-EXT-0
-A KUBE-EXTERNAL-SERVICES -d 192.0.2.8/32 -p tcp -j REJECT
`;
    expect(servicesOfRules(rules).map(({ ipAddress, external }) => [ipAddress, external])).toEqual([
      ["10.96.0.1", false],
      ["10.96.0.2", false],
      ["192.0.2.7", true],
      ["192.0.2.8", true],
    ]);
  });
});
