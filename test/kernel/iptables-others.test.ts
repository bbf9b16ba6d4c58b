import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Binding, DesiredState } from "../../agent/desired/state.ts";
import { everyBackend } from "../../agent/netfilter/choice.ts";
import { type Command, CommandError } from "../../agent/netfilter/command.ts";
import { detectFlavour } from "../../agent/netfilter/flavour.ts";
import { IptablesBackend } from "../../agent/netfilter/iptables.ts";
import { Looker } from "../../agent/netfilter/iptables-look.ts";
import { TestNode } from "./node.ts";
import { outsideIps } from "./topology.ts";

const magicIp = "169.254.210.210";
const magicIp6 = "fd00:210::210";

let node: TestNode;
let clientIp: string;
let targetIps: string[];
let otherIps: string[];

beforeAll(async () => {
  node = await TestNode.create();
  [clientIp = ""] = await node.addPod("client");
  targetIps = await node.addPod("target");
  otherIps = await node.addPod("other");
  await node.serve("target", [8080]);
  await node.serve("other", [8080]);
});

afterAll(() => node?.remove());

beforeEach(() => node.clear());

function binding(
  ipAddress: string,
  port: number,
  ip: string | undefined,
  protocol: "tcp" | "udp" = "tcp",
): Binding {
  const target = { namespace: "n", name: "pod", uid: `uid-${ip}`, ip: ip ?? "", port: 8080 };
  const targets = ip === undefined ? [] : [target];
  const frontend = { ipAddress, protocol, port, endPort: port };
  return { ...frontend, targets, loadBalance: false, whenNoTarget: "reject", live: [target.ip] };
}

function stateOf(bindings: Binding[], changes: Partial<DesiredState> = {}): DesiredState {
  return {
    instance: "monitoring.echo",
    hostClients: true,
    uplinks: ["uplink"],
    masquerade: { ipv4: "hairpin", ipv6: "hairpin" },
    bindings,
    live: bindings.flatMap(({ ipAddress, targets }) => targets.map(({ ip }) => ({ ipAddress, podIp: ip }))),
    problems: [],
    ...changes,
  };
}

const leading = (ips: string[]) => stateOf([binding(magicIp, 80, ips[0]), binding(magicIp6, 80, ips[1])]);
const onlyIpv4 = (ips: string[]) => stateOf([binding(magicIp, 80, ips[0])]);

const chainsHeld = async (flavour: string) =>
  (await node.command(`iptables-${flavour}-save`, [])).match(/^:MAGICIP-\S+/gm) ?? [];

const call = (address: string) => node.call("client", "tcp", address, 80, { deadline: 1_000 });

/** Services of kube-proxy, of so many rules together, as it has them. */
function services(rules: number): string {
  const numbers = Array.from({ length: rules / 4 }, (_, index) => index);
  const lines = numbers.flatMap((n) => {
    const pod = `10.1.${n >> 8}.${n & 255}`;
    const comment = `-m comment --comment "namespace/service-${n}:http -> ${pod}:8080"`;
    return [
      `-A KUBE-SERVICES -d 10.96.${n >> 8}.${n & 255} -p tcp ${comment} --dport 80 -j KUBE-SVC-${n}`,
      `-A KUBE-SVC-${n} ${comment} -j KUBE-SEP-${n}`,
      `-A KUBE-SEP-${n} -s ${pod} ${comment} -j MARK --set-xmark 0x4000/0x4000`,
      `-A KUBE-SEP-${n} -p tcp ${comment} -j DNAT --to-destination ${pod}:8080`,
    ];
  });
  const chains = numbers.map((n) => `:KUBE-SVC-${n} - [0:0]\n:KUBE-SEP-${n} - [0:0]`);
  const jump = "-A PREROUTING -j KUBE-SERVICES";
  return ["*nat", ":KUBE-SERVICES - [0:0]", ...chains, ...lines, jump, "COMMIT\n"].join("\n");
}

/** A node whose tools may take so many kilobytes of data each, as in a container that is nearly full. */
const within =
  (kilobytes: number): Command =>
  (file, args, ...others) =>
    node.command("sh", ["-c", `ulimit -d ${kilobytes}; exec "$@"`, "sh", file, ...args], ...others);

describe("beside 8,000 rules of kube-proxy (I1)", () => {
  const beside = (flavour: string) =>
    node.in("node", [`iptables-${flavour}-restore`, "--noflush"], { input: services(8_000) });

  it("iptables-nft is asked for our own chains: a write, a look and a removal take no more than beside none", async () => {
    await beside("nft");
    const backend = new IptablesBackend("nft", within(5_000));
    for (const ips of [targetIps, otherIps]) {
      await backend.write(leading(ips));
      expect(await backend.claims("monitoring.echo")).toEqual([]);
      expect(await backend.holds()).toBe(true);
    }
    expect(await call(magicIp)).toMatchObject({ pod: "other" });
    expect((await backend.counts())[0]?.traffic.packets).toBeGreaterThan(0);
    // Seldom, all chains' names are read.
    await new IptablesBackend("nft", within(12_000)).remove("monitoring.echo");
    expect(await chainsHeld("nft")).toEqual([]);
  });

  it.each([
    ["read", 6_000],
    ["written, though it can be read", 20_000],
  ])(
    "iptables-legacy, whose table cannot be %s, is named with the remedy, and nothing is half written",
    async (_, limit) => {
      // The rules of this test are twice as many for legacy, where they take less memory.
      await node.in("node", ["iptables-legacy-restore", "--noflush"], { input: services(12_000) });
      const backend = new IptablesBackend("legacy", within(limit));
      const failure = await backend.write(onlyIpv4(targetIps)).catch((error: Error) => error.message);
      expect(failure).toMatch(/ all .*rules on this node.*: set backend: nftables/);
      expect(await chainsHeld("legacy")).toEqual([]);
    },
  );
});

describe("a look that takes long", () => {
  it("is made a twentieth of the time (I1)", async () => {
    let looks = 0;
    const slow: Command = async () => {
      looks++;
      await new Promise((resolve) => setTimeout(resolve, 210));
      return "";
    };
    const looker = new Looker("legacy", "ipv4", slow);
    for (let look = 0; look < 3; look++) {
      expect(looker.resting).toBeUndefined();
      await looker.look();
    }
    expect(looker.resting).toBeDefined();
    const backend = new IptablesBackend("legacy", slow);
    for (let claim = 0; claim < 3; claim++) await backend.claims("monitoring.echo");
    looks = 0;
    await backend.claims("monitoring.echo");
    expect(looks).toBe(0);
  });

  it("is made once for claims and for whether the rules hold", async () => {
    const ran: string[] = [];
    const backend = new IptablesBackend("nft", (file, ...others) => {
      ran.push(file);
      return node.command(file, ...others);
    });
    await backend.write(leading(targetIps));
    ran.length = 0;
    await backend.claims("monitoring.echo");
    expect(await backend.holds()).toBe(true);
    expect(ran).toEqual(["iptables-nft-restore", "ip6tables-nft-restore"]);
  });
});

describe("with a rule of nft in iptables' own tables, which iptables-nft cannot show (I3)", () => {
  const strange = (verb: string, chain: string) =>
    node.load(`${verb} rule ip ${chain} ct mark 0x4711 accept\n`);
  const jumps = async () => {
    const listing = await node.command("nft", ["list", "table", "ip", "filter"]);
    return listing.match(/jump MAGICIP-/g)?.length;
  };

  it.each(["filter FORWARD", "filter INPUT", "nat PREROUTING", "mangle OUTPUT"])(
    "behind ours in %s, no jumps are added, targets are followed, and it is named until the rule is gone",
    async (chain) => {
      const backend = new IptablesBackend("nft", node.command);
      await backend.write(leading(targetIps));
      const before = await jumps();
      await strange("add", chain);
      for (const ips of [targetIps, targetIps, otherIps, otherIps]) {
        await backend.write(leading(ips));
        await backend.holds();
        expect(await jumps()).toBe(before);
      }
      const [table, name] = chain.split(" ");
      expect(backend.shortfall).toContain(`iptables-nft cannot read chain ${name} of table ${table}, `);
      for (const ip of [magicIp, magicIp6]) expect(await call(ip)).toMatchObject({ pod: "other" });
      await backend.remove("monitoring.echo");
      expect(await node.command("nft", ["list", "ruleset"])).not.toContain("MAGICIP-");
    },
  );

  it("in front of ours, jumps are added once, and taken away when the rule is gone", async () => {
    const backend = new IptablesBackend("nft", node.command);
    await backend.write(leading(targetIps));
    const before = (await jumps()) ?? 0;
    await strange("insert", "filter FORWARD");
    const after: (number | undefined)[] = [];
    for (const ips of [targetIps, otherIps, otherIps]) {
      await backend.holds();
      await backend.write(leading(ips));
      after.push(await jumps());
    }
    expect(after).toEqual([before + 2, before + 2, before + 2]);
    expect(await call(magicIp)).toMatchObject({ pod: "other" });
    await node.in("node", [
      "sh",
      "-ec",
      "nft -a list chain ip filter FORWARD | sed -n 's/.*0x00004711.*handle /delete rule ip filter FORWARD handle /p' | nft -f -",
    ]);
    await backend.write(leading(otherIps));
    expect([await jumps(), backend.shortfall]).toEqual([before, undefined]);
  });

  it("a removal that cannot take its jumps away empties the chains, and says that they stay", async () => {
    const backend = new IptablesBackend("nft", node.command);
    await backend.write(leading(targetIps));
    await strange("insert", "filter FORWARD");
    await expect(backend.remove("monitoring.echo")).rejects.toThrow(
      /^the rules of IPv4 may stay: chains MAGICIP-\w+-… are emptied and cannot be removed: .* chain FORWARD of table filter/,
    );
    expect(await node.command("nft", ["list", "ruleset"])).not.toMatch(/reject|dnat to/);
  });
});

describe.each(["nft", "legacy"] as const)("with iptables-%s", (flavour) => {
  const load = (text: string) => node.command(`iptables-${flavour}-restore`, ["--noflush"], text);

  it.each([true, false])(
    "chains that no rule leads to and no comment names are found and removed, by name or as unknown: %s (I10)",
    async (named) => {
      await new IptablesBackend(flavour, node.command).write(onlyIpv4(targetIps));
      const chains = await chainsHeld(flavour);
      await load("*mangle\n-F\nCOMMIT\n*filter\n-F\nCOMMIT\n*nat\n-F\nCOMMIT\n");
      expect(await chainsHeld(flavour)).toEqual(chains);
      const backend = new IptablesBackend(flavour, node.command);
      const [instance = ""] = await backend.instances();
      expect(instance).toMatch(/^MAGICIP-[0-9a-f]{8}$/);
      expect(await backend.remove(named ? "monitoring.echo" : instance)).toEqual([]);
      expect(await chainsHeld(flavour)).toEqual([]);
    },
  );

  describe.each([
    ["is not installed", "MISSING", ""],
    ["fails", "FAILED", "ip6tables: Address family not supported by protocol"],
  ] as const)("whose ip6tables %s (I11)", (_, fault, stderr) => {
    const without: Command = (file, args, ...others) => {
      if (!file.startsWith("ip6tables")) return node.command(file, args, ...others);
      return Promise.reject(new CommandError(fault, 1, stderr, `${file} ${fault}`, undefined));
    };

    it("an installation with IPv4 alone is written, holds, is found and removed", async () => {
      const backend = new IptablesBackend(flavour, without);
      expect(await backend.claims("monitoring.echo")).toEqual([]);
      await backend.write(onlyIpv4(targetIps));
      expect([backend.shortfall, await backend.holds()]).toEqual([undefined, true]);
      expect(await call(magicIp)).toMatchObject({ pod: "target" });
      expect(await backend.instances()).toEqual(["monitoring.echo"]);
      expect((await everyBackend(without)).map(({ name }) => name)).toContain(`iptables-${flavour}`);
      const removed = backend.remove("monitoring.echo");
      if (fault === "MISSING") expect(await removed).toHaveLength(1);
      else await expect(removed).rejects.toThrow(/^the rules of IPv6 may stay: /);
      expect(await chainsHeld(flavour)).toEqual([]);
    });

    it("IPv4 is written for one with both, and IPv6 is named", async () => {
      const backend = new IptablesBackend(flavour, without);
      for (const ips of [targetIps, otherIps]) await backend.write(leading(ips));
      expect(await call(magicIp)).toMatchObject({ pod: "other" });
      expect(backend.shortfall).toMatch(
        /^the rules of IPv6 could not be brought up to date, those of IPv4 are: /,
      );
    });
  });

  it("a datagram that a host outside sends from the magic IP leaves no trace that its clients would follow (S1)", async () => {
    const udp = stateOf([binding(magicIp, 80, targetIps[0], "udp")], { uplinks: undefined });
    await new IptablesBackend(flavour, node.command).write(udp);
    await node.in("outside", ["ip", "address", "add", magicIp, "dev", "lo"]);
    await node.call("outside", "udp", clientIp, 4711, { source: magicIp, deadline: 100 });
    await node.in("outside", ["ip", "address", "del", magicIp, "dev", "lo"]);
    const flows = await node.in("node", ["conntrack", "-L", "--orig-src", magicIp]);
    expect(flows.stdout).toBe("");
  });

  it("what belongs to no connection is dropped and not reset, which would end a healthy one (C2)", async () => {
    await new IptablesBackend(flavour, node.command).write(onlyIpv4(targetIps));
    const ask = () => node.call("client", "tcp", magicIp, 80, { keep: `invalid ${flavour}`, deadline: 400 });
    expect(await ask()).toMatchObject({ pod: "target" });
    // A packet of a connection that conntrack forgot and does not pick up is INVALID to it.
    await node.set({ tcpLoose: false });
    await node.in("node", ["conntrack", "-F"]);
    expect(await ask()).toMatchObject({ error: "ETIMEDOUT" });
    await node.set({ tcpLoose: true });
  });

  it("of an IP that another installation has, too, only the installation's own ports are refused and guarded (C15)", async () => {
    const state = stateOf([binding(magicIp, 80, undefined)], {
      neighbours: [{ ipAddress: magicIp, protocol: "tcp", port: 81, endPort: 81 }],
    });
    await new IptablesBackend(flavour, node.command).write(state);
    const rules = await node.command(`iptables-${flavour}-save`, []);
    const verdicts = rules.match(/^-A MAGICIP-\S+ .*-j (DROP|REJECT).*$/gm) ?? [];
    expect(verdicts.length).toBeGreaterThan(2);
    expect(verdicts.filter((rule) => !/--(dport|sport|ctorigdstport) 80 /.test(rule))).toEqual([]);
  });
});

it("the flavour is not legacy because of ip6tables alone (I11)", async () => {
  const failing: Command = (file, args, ...others) => {
    if (!file.startsWith("ip6tables-nft")) return node.command(file, args, ...others);
    return Promise.reject(new CommandError("FAILED", 1, "", `${file} failed`, undefined));
  };
  expect(await detectFlavour(failing)).toMatchObject({ flavour: "nft" });
});

it("an interface whose name iptables cannot take is not guarded, and named (C9)", async () => {
  const backend = new IptablesBackend("nft", node.command);
  await backend.write(stateOf([binding(magicIp, 80, targetIps[0])], { uplinks: ["äöü", "vpn+", "uplink"] }));
  expect(backend.warning).toContain('on "äöü", "vpn+": iptables takes');
  const { error } = await node.call("outside", "tcp", magicIp, 80, { source: outsideIps[0], deadline: 300 });
  expect(error).toBe("ETIMEDOUT");
});
