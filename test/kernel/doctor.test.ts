import { chmod, mkdtemp, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { beforeEach, describe, expect, it } from "vitest";
import type { Command } from "../../agent/netfilter/command.ts";
import { readNodeFacts } from "../../agent/netfilter/node.ts";
import { doctor } from "../../agent/doctor/preflight.ts";
import {
  addPods,
  dial,
  entering,
  examineNodes,
  found,
  inside,
  load,
  magicIp,
  magicIp6,
  name,
  named,
  onNode,
  read,
  sh,
  wanted,
} from "./examined.ts";

examineNodes();

describe("a node on which all is well", () => {
  it("has no finding, for both families, and the check changes nothing and does not take long", async () => {
    const both = wanted({}, magicIp, magicIp6);
    const durations: number[] = [];
    for (let time = 0; time < 5; time++) {
      const before = performance.now();
      expect(await found(both)).toEqual([]);
      durations.push(performance.now() - before);
    }
    // A tenth of it on a machine that has nothing else to do.
    expect(Math.min(...durations)).toBeLessThan(1_000);
    expect((await sh("nft list ruleset; cat /proc/net/ip_tables_names")).stdout).toBe("");
  });

  it("gets a line for each check, and a verdict", async () => {
    const { text, ok } = await doctor(wanted(), onNode, read);
    expect(ok).toBe(true);
    expect(text).toMatch(/^ok {4}NFT +nft puts the rules into this kernel$/m);
    expect(text).toMatch(/^ok {4}RULES +others' rules can be read$/m);
    expect(text.trim().split("\n").at(-1)).toBe(`this node can serve ${magicIp}`);
  });

  it("is known by its uplinks", async () => {
    expect(await readNodeFacts("node-1", read)).toEqual({
      name: "node-1",
      uplinks: ["uplink"],
      bridgeNetfilter: { ipv4: true, ipv6: true },
    });
  });
});

describe("a node's switches", () => {
  it("for forwarding are a failure of the family that is used", async () => {
    await sh("sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0");
    expect(await found()).toMatchObject([
      {
        code: "FORWARDING_OFF",
        severity: "fail",
        message: expect.stringContaining("net.ipv4.ip_forward is 0"),
      },
    ]);
    const [finding] = await found(wanted({}, magicIp6));
    expect(finding).toMatchObject({ code: "IPV6_FORWARDING_OFF", severity: "fail" });
    await sh(finding?.remedy.split(" on the node")[0] ?? "");
    expect(await found(wanted({}, magicIp6))).toEqual([]);
  });

  it("for IPv6 are a failure only where an IPv6 address is wanted", async () => {
    await sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
    expect(await found()).toEqual([]);
    expect(named(await found(wanted({}, magicIp6)), "IPV6_OFF")).toMatchObject([{ severity: "fail" }]);
  });

  it("for bridge netfilter are told, and where everything is masqueraded that alone", async () => {
    await sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0");
    expect(await found()).toMatchObject([
      {
        code: "BRIDGE_NETFILTER_OFF",
        severity: "info",
        message: expect.stringContaining("a NetworkPolicy that is enforced at the target's interface"),
        remedy: expect.stringContaining("net.bridge.bridge-nf-call-iptables=1"),
      },
    ]);
    expect(await found(wanted({ masquerade: "always" }))).toMatchObject([
      {
        code: "CLIENTS_HIDDEN",
        severity: "info",
        message: expect.stringContaining("takes every client for the node"),
      },
    ]);
    expect(await found(wanted({}, magicIp6))).toEqual([]);
  });
});

describe("a node without a default route", () => {
  beforeEach(() => sh("ip route delete default; ip -6 route delete default"));

  it.each([magicIp, magicIp6])(
    "is told the route that lets its own processes dial %s, and the remedy works",
    async (ip) => {
      await sh(`ip address add ${ip.includes(":") ? "fd00:10::1/64" : "10.10.0.1/24"} dev outside`);
      await load(`table inet test {
      chain translation {
        type nat hook output priority -110
        ip daddr ${magicIp} dnat ip to 192.0.2.10
        ip6 daddr ${magicIp6} dnat ip6 to fd00:192::10
      }
    }`);
      expect(await dial(ip)).toBe("ENETUNREACH");
      const [finding] = await found(wanted({}, ip));
      expect(finding).toMatchObject({ code: "NO_ROUTE", severity: "warn" });
      await sh(finding?.remedy.split(" on the node")[0] ?? "");
      expect(await dial(ip)).toBe("ECONNREFUSED");
      expect(await found(wanted({}, ip))).toEqual([]);
    },
  );

  it("is fine with a link-local route, and where its own processes are no clients", async () => {
    expect(await found(wanted({ hostClients: false }))).toEqual([]);
    await sh("ip route add 169.254.0.0/16 dev uplink");
    expect(await found()).toMatchObject([{ code: "ADDRESS_IN_LINK_LOCAL_ROUTE", severity: "info" }]);
  });
});

describe("a firewall that drops what is forwarded", () => {
  it.each([
    [
      "nft",
      "nft add table inet fw; nft 'add chain inet fw in { type filter hook forward priority 0; policy drop; }'",
      "the table inet fw",
    ],
    [
      "iptables",
      "iptables-nft -N DOCKER-USER; iptables-nft -P FORWARD DROP",
      "of iptables, family ip, table filter, (Docker)",
    ],
    ["iptables-legacy", "iptables-legacy -P FORWARD DROP", "of iptables-legacy, family ip, table filter,"],
  ])("with %s is named, and the remedy is accepted and seen", async (_, fault, where) => {
    await sh(fault);
    const [finding, ...others] = await found();
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ code: "FORWARD_POLICY_DROP", severity: "warn" });
    expect(finding?.message).toContain(where);
    await sh(finding?.remedy.split("; the same")[0]?.replace(/^iptables /, "iptables-nft ") ?? "");
    expect(await found()).toEqual([]);
  });

  it("lets a pod through after the remedy, and not before", async () => {
    await addPods();
    await load(`table inet fw {
      chain in {
        type filter hook forward priority 0; policy drop;
      }
    }
    table inet test {
      chain translation {
        type nat hook prerouting priority -110
        ip daddr ${magicIp} dnat ip to 10.2.0.2
      }
    }`);
    expect(await dial(magicIp, `${name}a`)).toBe("timeout");
    const [finding] = await found();
    await sh(finding?.remedy.split("; the same")[0] ?? "");
    expect(await dial(magicIp, `${name}a`)).toBe("ECONNREFUSED");
  });

  it("of IPv6 does not concern an IPv4 address", async () => {
    await sh("ip6tables-nft -P FORWARD DROP");
    expect(await found()).toEqual([]);
    const [finding] = await found(wanted({}, magicIp6));
    expect(finding?.remedy).toMatch(`ip6tables -I FORWARD -m conntrack --ctorigdst ${magicIp6} -j ACCEPT`);
  });
});

describe("a rule that exempts packets from conntrack", () => {
  it.each([
    ["iptables-nft -t raw -A PREROUTING -j CT --notrack", "fail", "ip raw"],
    ["iptables-nft -t raw -A OUTPUT -d 169.254.0.0/16 -p tcp -j CT --notrack", "fail", "ip raw"],
    ["iptables-legacy -t raw -A PREROUTING -d 169.254.0.0/16 -j CT --notrack", "fail", "iptables-legacy raw"],
    [
      "iptables-nft -t raw -N X; iptables-nft -t raw -A PREROUTING -j X; iptables-nft -t raw -A X -s 10.1.0.0/16 -j NOTRACK",
      "warn",
      "ip raw",
    ],
    [
      "nft add table inet t; nft 'add chain inet t c { type filter hook prerouting priority -300; }'; nft add rule inet t c notrack",
      "fail",
      "inet t",
    ],
  ])("is found: %s", async (fault, severity, table) => {
    await sh(fault);
    expect(await found()).toMatchObject([
      { code: "NOTRACK", severity, message: expect.stringContaining(`table ${table} `) },
    ]);
  });

  it.each([
    "iptables-nft -t raw -A PREROUTING -d 169.254.20.10/32 -p udp --dport 53 -j CT --notrack",
    "iptables-nft -t raw -A PREROUTING -p udp --dport 8472 -j CT --notrack",
    "ip6tables-nft -t raw -A PREROUTING -j CT --notrack",
    "iptables-nft -t raw -A PREROUTING -i lo -j CT --notrack",
  ])("is left alone where it does not concern the magic IP: %s", async (rule) => {
    await sh(rule);
    expect(await found()).toEqual([]);
  });
});

describe("an address that somebody has already", () => {
  it.each([
    [`ip address add ${magicIp}/24 dev uplink`, "ADDRESS_OF_NODE", "names the interface"],
    [`ip route add ${magicIp}/32 dev outside`, "ADDRESS_IN_ROUTE", "choose another"],
    ["ip route add 169.254.208.0/20 via 192.0.2.1", "ADDRESS_IN_ROUTE", "choose another"],
    ["ip route add blackhole 169.254.210.0/24", "ADDRESS_IN_ROUTE", "choose another"],
  ])("is found: %s", async (fault, code, remedy) => {
    await sh(fault);
    expect(await found()).toMatchObject([
      { code, severity: "fail", remedy: expect.stringContaining(remedy) },
    ]);
  });

  it("is no reason to be unready where kube-proxy's ipvs mode has it as a Service's (H38)", async () => {
    await sh(`ip link add kube-ipvs0 type bridge; ip address add ${magicIp}/32 dev kube-ipvs0`);
    expect(await found()).toMatchObject([
      { code: "ADDRESS_OF_SERVICE", severity: "warn", message: expect.stringContaining("kube-ipvs0") },
    ]);
    await sh(`ip address del ${magicIp}/32 dev kube-ipvs0; ip address add ${magicIp}/32 dev uplink`);
    expect(await found()).toMatchObject([{ code: "ADDRESS_OF_NODE", severity: "fail" }]);
  });

  it("is found in OVN-Kubernetes' masquerade subnet, by the bridge that has an address of it (P4)", async () => {
    const inside = "169.254.10.10";
    await sh(
      "ip link add breth0 type bridge; ip link set breth0 up; ip address add 169.254.0.2/17 dev breth0",
    );
    expect(await found(wanted({}, inside))).toMatchObject([
      { code: "ADDRESS_OF_OVN_KUBERNETES", severity: "fail" },
    ]);
    expect(await found()).toEqual([]);
  });

  it("of IPv6 is found with its interface", async () => {
    await sh(`ip address add ${magicIp6}/128 dev uplink nodad`);
    const [finding] = await found(wanted({}, magicIp6));
    expect(finding).toMatchObject({
      code: "ADDRESS_OF_NODE",
      message: `${magicIp6} is an address of this node itself (uplink)`,
    });
  });

  it.each([
    ["ip", "ipv4_addr", magicIp, "10.96.0.10"],
    ["ip6", "ipv6_addr", magicIp6, "fd00:96::a"],
  ])(
    "is found in kube-proxy's nftables maps (%s), with the Service's name",
    async (family, type, ip, other) => {
      await load(`table ${family} kube-proxy {
      chain service-ULMVA6XW-shop/cart/tcp/http {
        accept
      }
      map service-ips {
        type ${type} . inet_proto . inet_service : verdict
        comment "ClusterIP, ExternalIP and LoadBalancer IP traffic"
        elements = { ${other} . udp . 53 : accept, ${ip} . tcp . 443 : goto service-ULMVA6XW-shop/cart/tcp/http }
      }
      map no-endpoint-services {
        type ${type} . inet_proto . inet_service : verdict
      }
    }`);
      expect(await found(wanted({}, ip))).toMatchObject([
        {
          code: "ADDRESS_OF_SERVICE",
          severity: "fail",
          message: expect.stringContaining("the Service shop/cart:"),
        },
      ]);
    },
  );

  it.each(["iptables-nft", "iptables-legacy"])(
    "is found in the rules of kube-proxy with %s",
    async (tool) => {
      await sh(
        `${tool} -t nat -N KUBE-SERVICES; ${tool} -t nat -A KUBE-SERVICES -d 10.96.0.1/32 -p tcp --dport 443 -j ACCEPT`,
      );
      expect(await found()).toEqual([]);
      await sh(
        `${tool} -t nat -A KUBE-SERVICES -d ${magicIp}/32 -p tcp -m comment --comment "shop/cart external IP" -m tcp --dport 443 -j ACCEPT`,
      );
      expect(await found()).toMatchObject([{ code: "ADDRESS_OF_SERVICE", severity: "warn" }]);
      await sh(
        `${tool} -t nat -N KUBE-SVC-0; ${tool} -t nat -A KUBE-SERVICES -d ${magicIp}/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-0`,
      );
      expect(await found()).toMatchObject([{ code: "ADDRESS_OF_SERVICE", severity: "fail" }]);
    },
  );

  it("is not mistaken for a Service that has no rules left in iptables-legacy", async () => {
    await sh("iptables-legacy -t nat -L");
    expect(await found()).toEqual([]);
  });
});

describe("an agent", () => {
  const withoutNetAdmin: Command = (file, args, ...rest) =>
    entering(["setpriv", "--bounding-set=-net_admin"], file, args, ...rest);

  it("without the capability NET_ADMIN is told so, once", async () => {
    expect(await found(wanted(), withoutNetAdmin)).toMatchObject([
      { code: "NET_ADMIN_MISSING", severity: "fail", remedy: expect.stringContaining('add: ["NET_ADMIN"]') },
    ]);
  });

  it("without NET_RAW cannot read iptables-legacy, and says no more than that", async () => {
    await sh("iptables-legacy -P FORWARD DROP");
    const withoutNetRaw: Command = (file, args, ...rest) =>
      entering(["setpriv", "--bounding-set=-net_raw"], file, args, ...rest);
    expect(await found(wanted(), withoutNetRaw)).toMatchObject([
      {
        code: "RULES_UNREADABLE",
        severity: "info",
        message: expect.stringContaining("iptables-legacy's table filter"),
      },
    ]);
    const { text } = await doctor(wanted(), withoutNetRaw, read);
    expect(text).not.toMatch(/^ok +FORWARD_POLICY/m);
  });

  it("without nft and conntrack in its PATH is told to bring them, or to take iptables", async () => {
    const path = await mkdtemp(join(tmpdir(), "magic-ip-"));
    expect(await doctorWithPath(path)).toMatchObject({
      ok: false,
      text: expect.stringMatching(/^fail +NFT_MISSING +nft is not installed$/m),
    });
    await symlink("/usr/sbin/iptables-nft-restore", join(path, "iptables-nft-restore"));
    const { text, ok } = await doctorWithPath(path);
    expect(ok).toBe(true);
    expect(text).toMatch(/^warn +NFT_MISSING +nft is not installed; iptables-nft is used instead$/m);
    expect(text).toMatch(/^warn +NETLINK_MISSING +magic-ip-netlink is not installed: clients that keep/m);
    expect(text).not.toMatch(/^ok +(NOTRACK|FORWARD_POLICY|ADDRESSES|RULES) /m);
  });

  it("whose nft crashes on somebody's table reads the others'", async () => {
    const nft = await tool('case "$*" in *"list table ip raw"*) kill -SEGV $$;; esac; exec nft "$@"');
    const crashing: Command = (file, args, ...rest) => onNode(file === "nft" ? nft : file, args, ...rest);
    await sh("iptables-nft -t raw -A PREROUTING -j CT --notrack; iptables-nft -P FORWARD DROP");
    const findings = await found(wanted(), crashing);
    expect(findings.map(({ code }) => code)).toEqual(["FORWARD_POLICY_DROP", "RULES_UNREADABLE"]);
    expect(findings[1]?.message).toContain("the table ip raw: ");
  });
});

async function tool(script: string): Promise<string> {
  const file = join(await mkdtemp(join(tmpdir(), "magic-ip-")), "tool");
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
  return file;
}

/** Runs the doctor as a process of the node that finds tools in one directory only. */
async function doctorWithPath(path: string): Promise<{ text: string; ok: boolean }> {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const script = `import { doctor } from "${root}agent/doctor/preflight.ts"; console.log(JSON.stringify(await doctor(undefined)));`;
  const file = join(await mkdtemp(join(tmpdir(), "magic-ip-")), "doctor.mts");
  await writeFile(file, script);
  const argv = [
    inside,
    "env",
    `PATH=${path}`,
    process.execPath,
    `${root}node_modules/tsx/dist/cli.mjs`,
    file,
  ];
  return JSON.parse((await execa("nsenter", argv)).stdout);
}
