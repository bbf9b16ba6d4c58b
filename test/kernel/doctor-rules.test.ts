import { chmod, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Command } from "../../agent/netfilter/command.ts";
import { doctor } from "../../agent/doctor/preflight.ts";
import {
  addNamespace,
  addPods,
  dial,
  examineNodes,
  found,
  load,
  magicIp,
  magicIp6,
  name,
  onNode,
  read,
  sh,
  wanted,
} from "./examined.ts";

examineNodes();

const translation = `table inet test {
  chain translation {
    type nat hook prerouting priority -110
    ip daddr ${magicIp} dnat ip to 10.2.0.2
  }
}`;

describe("rules that never meet a magic IP", () => {
  it("of NodeLocal DNSCache are no finding", async () => {
    for (const ip of ["169.254.20.10", "10.96.0.10"])
      await sh(`
        iptables-nft -t raw -A PREROUTING -d ${ip}/32 -p udp -m udp --dport 53 -m comment --comment "NodeLocal DNS Cache: skip conntrack" -j NOTRACK
        iptables-nft -t raw -A OUTPUT -s ${ip}/32 -p udp -m udp --sport 53 -m comment --comment "NodeLocal DNS Cache: skip conntrack" -j NOTRACK
        iptables-nft -t raw -A OUTPUT -s ${ip}/32 -p tcp -m tcp --sport 8080 -j NOTRACK
        iptables-nft -t raw -A OUTPUT -d ${ip}/32 -p tcp -m tcp --dport 8080 -j NOTRACK`);
    expect(await found()).toEqual([]);
  });

  it("of NodeLocal DNSCache with iptables-legacy are no finding, either", async () => {
    await sh("iptables-legacy -t raw -A OUTPUT -s 169.254.20.10/32 -p udp -m udp --sport 53 -j NOTRACK");
    expect(await found()).toEqual([]);
  });

  it("of Cilium's proxy, bound to its marks, are no finding; another's are told without a thing to be done", async () => {
    await sh(`iptables-nft -t raw -N CILIUM_PRE_raw
      iptables-nft -t raw -A CILIUM_PRE_raw -m mark --mark 0x200/0xf00 -m comment --comment "cilium: NOTRACK for proxy traffic" -j CT --notrack
      iptables-nft -t raw -A PREROUTING -m comment --comment "cilium-feeder: CILIUM_PRE_raw" -j CILIUM_PRE_raw`);
    expect(await found()).toEqual([]);
    await sh("iptables-nft -t raw -A PREROUTING -m mark --mark 0x7 -j CT --notrack");
    const [finding] = await found();
    expect(finding).toMatchObject({ code: "NOTRACK", severity: "info" });
    expect(finding?.remedy).not.toContain("take the rule away");
  });

  it("that drop link-local packets from outside, or invalid ones, are no finding", async () => {
    await load(`table inet fw {
      chain early {
        type filter hook prerouting priority -250;
        iifname "uplink" ip daddr 169.254.0.0/16 drop
        ct state invalid drop
        fib saddr . iif oif missing drop
      }
    }`);
    expect(await found()).toEqual([]);
  });
});

describe("a rule that takes what is sent to a magic IP before it is translated", () => {
  it.each([
    ["filter", -250, "ip daddr 169.254.0.0/16 drop", "DROPPED_BEFORE"],
    ["nat", -150, `ip daddr ${magicIp} redirect`, "TRANSLATED_BEFORE"],
    ["nat", -150, `ip daddr ${magicIp} dnat ip to 10.1.0.1`, "TRANSLATED_BEFORE"],
  ])("is a failure: %s at %i, %s", async (type, priority, rule, code) => {
    await addPods();
    await load(translation);
    expect(await dial(magicIp, `${name}a`)).toBe("ECONNREFUSED");
    await load(`table inet fw {
      chain early {
        type ${type} hook prerouting priority ${priority};
        ${rule}
      }
    }`);
    expect(await found()).toMatchObject([
      { code, severity: "fail", message: expect.stringContaining("in the chain early of the table inet fw") },
    ]);
    expect(await found(wanted({}, magicIp6))).toEqual([]);
  });

  it("is found in iptables-legacy as well", async () => {
    await sh("iptables-legacy -t mangle -A PREROUTING -d 169.254.0.0/16 -j DROP");
    expect(await found()).toMatchObject([{ code: "DROPPED_BEFORE", severity: "fail" }]);
  });
});

describe("a chain that accepts by its policy and ends in a rule that drops", () => {
  it.each([
    [
      "nft",
      `nft -f - <<'END'
table inet firewalld {
  chain zones { iifname "nowhere" accept; }
  chain filter_FORWARD {
    type filter hook forward priority 10; policy accept;
    ct state { established, related } accept
    jump zones
    reject with icmpx admin-prohibited
  }
}
END`,
      'the chain filter_FORWARD of the table inet firewalld (firewalld) drops by its rule "reject with icmpx',
    ],
    [
      "iptables-nft",
      "iptables-nft -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT; iptables-nft -A FORWARD -j REJECT --reject-with icmp-host-prohibited",
      "the chain FORWARD of iptables, family ip, table filter, drops by its rule",
    ],
    [
      "iptables-legacy",
      "iptables-legacy -N END; iptables-legacy -A END -j DROP; iptables-legacy -A FORWARD -j END",
      'the chain FORWARD of iptables-legacy, family ip, table filter, drops by its rule "drop"',
    ],
  ])("keeps pods from each other, and its remedy works: %s", async (_, fault, message) => {
    await addPods();
    await load(translation);
    await sh(fault);
    expect(await dial(magicIp, `${name}a`)).not.toBe("ECONNREFUSED");
    const [finding, ...others] = await found();
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ code: "FORWARD_POLICY_DROP", severity: "warn" });
    expect(finding?.message).toContain(message);
    await sh(finding?.remedy.split("; the same")[0]?.replace(/^iptables /, "iptables-nft ") ?? "");
    expect(await dial(magicIp, `${name}a`)).toBe("ECONNREFUSED");
    expect(await found()).toEqual([]);
  });
});

describe("an interface of a pod", () => {
  it("that forwards nothing is found, and the remedy works", async () => {
    await addPods();
    await load(translation);
    await sh("sysctl -qw net.ipv4.conf.va.forwarding=0");
    expect(await dial(magicIp, `${name}a`)).toBe("timeout");
    const [finding, ...others] = await found();
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ code: "INTERFACE_FORWARDING_OFF", severity: "warn" });
    expect(finding?.message).toContain("come in by va:");
    await sh(finding?.remedy.split(" on the node")[0] ?? "");
    expect(await dial(magicIp, `${name}a`)).toBe("ECONNREFUSED");
    expect(await found()).toEqual([]);
  });

  it("on a bridge that gives nothing back is told where the bridge passes packets through netfilter", async () => {
    await addNamespace(`${name}p`);
    await sh(`ip link add pods type bridge; ip link set pods up; ip address add 10.9.0.1/24 dev pods
      ip link add port type veth peer name eth0 netns ${name}p; ip link set port master pods up
      nsenter --net=/run/netns/${name}p sh -ec 'ip address add 10.9.0.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.9.0.1'`);
    await load(translation.replace("10.2.0.2", "10.9.0.2"));
    expect(await dial(magicIp, `${name}p`)).toBe("timeout");
    const [finding, ...others] = await found();
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ code: "HAIRPIN_OFF", severity: "info" });
    expect(finding?.remedy).toMatch(/^"hairpinMode": true /);
    await sh(finding?.remedy.split("for these: ")[1] ?? "");
    expect(await found()).toEqual([]);
    await sh("bridge link set dev port hairpin off; sysctl -qw net.bridge.bridge-nf-call-iptables=0");
    expect(await found()).toMatchObject([{ code: "BRIDGE_NETFILTER_OFF" }]);
  });
});

it("a node of IPv6 alone serves the IPv6 half of an address, and is not unfit for the other", async () => {
  await sh("sysctl -qw net.ipv4.ip_forward=0");
  const both = await found(wanted({}, magicIp, magicIp6));
  expect(both).toMatchObject([{ code: "FORWARDING_OFF", severity: "warn" }]);
});

describe("a look at the node", () => {
  it("takes a bounded time and memory where others have many chains, and still finds what matters", async () => {
    await load(manyRules(2_000));
    await sh(`iptables-nft -t nat -A KUBE-SERVICES -d ${magicIp}/32 -p tcp --dport 443 -j ACCEPT`);
    const sizes: number[] = [];
    const measured: Command = async (file, args, input, keep) => {
      const text = await onNode(file, args, input, keep);
      sizes.push(text.length);
      return text;
    };
    const before = performance.now();
    expect(await found(wanted(), measured)).toMatchObject([{ code: "ADDRESS_OF_SERVICE" }]);
    expect(performance.now() - before).toBeLessThan(5_000);
    expect(Math.max(...sizes)).toBeLessThan(2_000);
  });

  it("ends after 5 s where the tools take longer, and says what was not read", async () => {
    const nft = await slow();
    const slowNft: Command = (file, args, ...rest) =>
      onNode(file === "nft" && args.includes("list") ? nft : file, args, ...rest);
    await sh("iptables-nft -P FORWARD DROP; iptables-nft -t raw -A PREROUTING -j CT --notrack");
    const before = performance.now();
    const { text, ok } = await doctor(wanted(), slowNft, read);
    expect(performance.now() - before).toBeLessThan(7_000);
    expect(ok).toBe(true);
    expect(text).toMatch(/^info +RULES_UNREADABLE .*: the look at this node took longer than 5 s$/m);
    expect(text).not.toMatch(/^ok +(FORWARD_POLICY|NOTRACK) /m);
  });
});

/** As kube-proxy has for as many Services in iptables-nft, without what does not count here. */
function manyRules(services: number): string {
  const ids = Array.from({ length: services }, (_, n) => String(n).padStart(16, "0"));
  const endpoints = ids.map((id) => `chain KUBE-SEP-${id} {\nmeta l4proto tcp dnat to 10.1.0.2:80\n}`);
  const chains = ids.map((id) => `chain KUBE-SVC-${id} {\njump KUBE-SEP-${id}\n}`);
  const rules = ids.map((id, n) => {
    return `ip daddr 10.96.${n >> 8}.${n & 255} tcp dport 80 counter jump KUBE-SVC-${id}`;
  });
  const last = `chain KUBE-SERVICES {\n${rules.join("\n")}\n}
    chain PREROUTING {
      type nat hook prerouting priority -100
      counter jump KUBE-SERVICES
    }`;
  return `table ip nat {\n${[...endpoints, ...chains, last].join("\n")}\n}`;
}

async function slow(): Promise<string> {
  const file = join(await mkdtemp(join(tmpdir(), "magic-ip-")), "tool");
  await writeFile(file, '#!/bin/sh\nsleep 2\nexec nft "$@"\n');
  await chmod(file, 0o755);
  return file;
}
