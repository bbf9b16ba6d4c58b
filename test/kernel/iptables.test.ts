import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Binding, bindingName, type DesiredState } from "../../agent/desired/state.ts";
import { CommandError } from "../../agent/netfilter/command.ts";
import { detectFlavour } from "../../agent/netfilter/flavour.ts";
import { IptablesBackend } from "../../agent/netfilter/iptables.ts";
import { ruleset } from "../../agent/ruleset/iptables/table.ts";
import { chainPrefix } from "../../agent/ruleset/iptables/chains.ts";
import { parseListing } from "../../agent/ruleset/iptables/listing.ts";
import { expectGolden } from "../support/golden.ts";
import { TestNode } from "./node.ts";
import { bridgeIps } from "./topology.ts";

/** A node as most are. */
const around = { segmentLength: () => undefined, tcpLoose: true };
const magicIp = "169.254.210.210";
const magicIp6 = "fd00:210::210";
const flavours = ["nft", "legacy"] as const;

let node: TestNode;
let targetIps: string[];
let otherIps: string[];
let clientIps: string[];
let routedIps: string[];
/** The tools that ran since the last test, with what they were told. */
let ran: string[];
let asked: string[];

const backendOf = (flavour: (typeof flavours)[number]) =>
  new IptablesBackend(flavour, (file, args, ...others) => {
    ran.push([file, ...args].join(" "));
    asked.push(others[0] ?? "");
    return node.command(file, args, ...others);
  });

beforeAll(async () => {
  node = await TestNode.create();
  clientIps = await node.addPod("client");
  routedIps = await node.addPod("routed", "routed");
  targetIps = await node.addPod("target");
  otherIps = await node.addPod("other");
  await node.serve("target", [8080]);
  await node.serve("other", [8080]);
});

afterAll(() => node?.remove());

beforeEach(async () => {
  await node.clear();
  ran = [];
  asked = [];
});

function binding(ipAddress: string, what: string, ips: string[], changes: Partial<Binding> = {}): Binding {
  const [, port = "0", endPort = port, protocol] = /^(\d+)(?:-(\d+))?\/(\w+)$/.exec(what) ?? [];
  const targetPort = protocol === undefined || endPort !== port ? undefined : 8080;
  return {
    ipAddress,
    protocol: protocol as Binding["protocol"],
    port: Number(port),
    endPort: protocol === undefined ? 65535 : Number(endPort),
    targets: ips.map((ip) => ({ namespace: "n", name: `pod-${ip}`, uid: ip, ip, port: targetPort })),
    loadBalance: ips.length > 1,
    whenNoTarget: "reject",
    live: ips,
    ...changes,
  };
}

function stateOf(bindings: Binding[], changes: Partial<DesiredState> = {}): DesiredState {
  const pairs = bindings.flatMap(({ ipAddress, targets }) =>
    targets.map(({ ip }) => ({ ipAddress, podIp: ip })),
  );
  return {
    instance: "monitoring.echo",
    hostClients: true,
    uplinks: ["uplink"],
    masquerade: { ipv4: "hairpin", ipv6: "hairpin" },
    bindings,
    live: [...new Map(pairs.map((pair) => [JSON.stringify(pair), pair])).values()],
    problems: [],
    ...changes,
  };
}

/** One TCP port of each family that leads to the target. */
const simple = (ips = targetIps, changes: Partial<DesiredState> = {}) =>
  stateOf([binding(magicIp, "80/tcp", ips.slice(0, 1)), binding(magicIp6, "80/tcp", ips.slice(1))], changes);

function everything(): DesiredState {
  const [ip = "", ip6 = ""] = ["10.9.0.7", "fd00:9::7"];
  const [second = "", second6 = ""] = ["10.10.0.8", "fd00:10::8"];
  const ofFamily = (first: string, whole: string, pods: string[]) => [
    binding(whole, "", pods.slice(0, 1)),
    binding(first, "8000-8010/udp", pods.slice(0, 1)),
    binding(first, "80/tcp", pods),
    binding(first, "80/sctp", pods.slice(0, 1)),
    binding(whole, "22/tcp", [], { whenNoTarget: "pass" }),
    binding(whole, "53/udp", [], { whenNoTarget: "drop" }),
  ];
  const ipv4 = ofFamily(magicIp, "169.254.210.211", [ip, second]);
  const ipv6 = ofFamily(magicIp6, "fd00:210::211", [ip6, second6]);
  return stateOf([...ipv4, ...ipv6], {
    uplinks: ["uplink", "eth1"],
    masquerade: { ipv4: "bridged", ipv6: "always" },
  });
}

/** What both tools print, without the counters and the dates; the tables that are empty only with `empty`. */
async function saved(flavour: (typeof flavours)[number], empty = false): Promise<string> {
  const tools = [`iptables-${flavour}-save`, `ip6tables-${flavour}-save`];
  const texts = await Promise.all(tools.map((tool) => node.command(tool, [])));
  const tables = texts.flatMap((text, index) =>
    text
      .replace(/^#.*\n?/gm, "")
      .replace(/ \[\d+:\d+\]$/gm, "")
      .split(/(?<=^COMMIT$)\n?/m)
      .filter((table) => table.trim() !== "" && (empty || table.includes("\n-A ")))
      .toSorted()
      .map((table) => `${["IPv4", "IPv6"][index]} ${table}`),
  );
  return `${tables.join("\n")}\n`;
}

/** Rules as kube-proxy has them, with a Service that has the magic IP as external IP. */
const kubeServices = (ips: string[]) =>
  [
    "*nat",
    ":KUBE-SERVICES - [0:0]",
    ":KUBE-SEP-OTHER - [0:0]",
    // The comment is no jump, whatever it looks like.
    `-A KUBE-SERVICES -d ${magicIp} -p tcp -m comment --comment "a -j ${chainPrefix("monitoring.echo")}-DNAT b" --dport 80 -j KUBE-SEP-OTHER`,
    `-A KUBE-SEP-OTHER -p tcp -j DNAT --to-destination ${ips[0]}:8080`,
    '-I PREROUTING 1 -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-I OUTPUT 1 -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    "COMMIT\n",
  ].join("\n");

describe.each(flavours)("with iptables-%s", (flavour) => {
  const load = (text: string) => node.command(`iptables-${flavour}-restore`, ["--noflush"], text);

  it("the kernel takes a state that uses everything, as the golden file lists it", async () => {
    await backendOf(flavour).write(everything());
    expectGolden(new URL("golden/iptables-everything.txt", import.meta.url), await saved(flavour));
  });

  it("names of chains are short enough for any number of magic IPs", async () => {
    const ips = Array.from({ length: 300 }, (_, index) => `169.254.${200 + (index >> 8)}.${index & 255}`);
    const backend = backendOf(flavour);
    await backend.write(stateOf(ips.map((ip) => binding(ip, "80/tcp", ["10.9.0.7"]))));
    expect(await backend.counts()).toHaveLength(300);
  });

  it("writing again changes nothing, and costs no restore", async () => {
    const backend = backendOf(flavour);
    await backend.write(everything());
    const first = await saved(flavour);
    ran = [];
    await backend.write(everything());
    expect(ran.filter((line) => line.includes(" -w "))).toEqual([]);
    await backendOf(flavour).write(everything());
    expect(await saved(flavour)).toBe(first);
    expect(await backend.holds()).toBe(true);
  });

  it("any history ends in the rules of a fresh start", async () => {
    const backend = backendOf(flavour);
    await backend.write(everything());
    const fresh = await saved(flavour);
    const others = [simple(), stateOf([]), simple(otherIps, { hostClients: false, uplinks: undefined })];
    for (const state of [...others, stateOf([binding("169.254.210.250", "", ["10.9.0.9"])])]) {
      await backend.write(state);
      expect(await backend.holds()).toBe(true);
      await backend.write(everything());
      expect(await saved(flavour)).toBe(fresh);
    }
  });

  it("a family without bindings is left alone, and cleaned when it had some", async () => {
    const backend = backendOf(flavour);
    const ipv4 = stateOf([binding(magicIp, "80/tcp", targetIps.slice(0, 1))]);
    await backend.write(ipv4);
    expect(ran.filter((line) => /^ip6tables.* -w /.test(line))).toEqual([]);
    await backend.write(simple());
    expect(await saved(flavour)).toContain("IPv6");
    // An agent that starts anew does not remember the IPv6 rules, but finds them.
    await backendOf(flavour).write(ipv4);
    expect(await saved(flavour)).not.toContain("IPv6");
  });

  it("removal leaves the tables as they were, byte for byte, and says for which magic IPs they were", async () => {
    for (const family of ["ip", "ip6"])
      for (const table of ["mangle", "nat", "filter"])
        await node.command(`${family}tables-${flavour}`, ["-t", table, "-S"]);
    await load(kubeServices(otherIps));
    await backendOf(flavour).write(stateOf(everything().bindings, { instance: "another" }));
    const before = await saved(flavour, true);
    const backend = backendOf(flavour);
    await backend.write(everything());
    expect(await saved(flavour, true)).not.toBe(before);
    const ips = [magicIp, "169.254.210.211", magicIp6, "fd00:210::211"];
    const gone = (await backend.remove("monitoring.echo"))?.map(({ ipAddress }) => ipAddress);
    expect([...new Set(gone)].toSorted()).toEqual(ips.toSorted());
    expect(await saved(flavour, true)).toBe(before);
    expect(await backend.remove("monitoring.echo")).toBeUndefined();
    expect(await backend.holds()).toBe(false);
  });

  describe("where kube-proxy has a Service with the magic IP", () => {
    it.each(["client", "node"])(
      "the %s still reaches the target, when kube-proxy was first",
      async (from) => {
        await load(kubeServices(otherIps));
        expect(await node.call(from, "tcp", magicIp, 80)).toMatchObject({ pod: "other" });
        await backendOf(flavour).write(simple());
        expect(await node.call(from, "tcp", magicIp, 80)).toMatchObject({ pod: "target" });
      },
    );

    it.each(["client", "node"])("the %s does again, when kube-proxy came in front", async (from) => {
      const backend = backendOf(flavour);
      await backend.write(simple());
      await load(kubeServices(otherIps));
      expect(await backend.holds()).toBe(false);
      await backend.write(simple());
      expect(await node.call(from, "tcp", magicIp, 80)).toMatchObject({ pod: "target" });
      expect(await backend.holds()).toBe(true);
    });
  });

  it.each([
    ["a rule is deleted", "*filter\n-D FORWARD 1\nCOMMIT\n"],
    ["a chain is emptied", "*nat\n:CHAIN-DNAT - [0:0]\nCOMMIT\n"],
    ["a rule is added to a chain", "*mangle\n-I CHAIN-COUNT -j ACCEPT\nCOMMIT\n"],
    ["a rule comes in front of FORWARD", "*filter\n-I FORWARD -j ACCEPT\nCOMMIT\n"],
    ["everything is flushed", "*mangle\n-F\n-X\nCOMMIT\n*filter\n-F\n-X\nCOMMIT\n*nat\n-F\n-X\nCOMMIT\n"],
  ])("when %s by somebody else it is noticed and put right", async (_what, change) => {
    const backend = backendOf(flavour);
    await backend.write(simple());
    const [prefix = ""] = /MAGICIP-\w+/.exec(await saved(flavour)) ?? [];
    await load(change.replace("CHAIN", prefix));
    expect(await backend.holds()).toBe(false);
    await backend.write(simple());
    expect(await backend.holds()).toBe(true);
    expect(await node.call("client", "tcp", magicIp, 80)).toMatchObject({ pod: "target" });
  });

  it("two installations both hold, though only one can be the first", async () => {
    const [first, second] = [backendOf(flavour), backendOf(flavour)];
    const other = stateOf([binding(magicIp, "81/tcp", otherIps.slice(0, 1))], { instance: "second" });
    await first.write(simple());
    await second.write(other);
    await first.write(simple(targetIps, { hostClients: false }));
    expect([await first.holds(), await second.holds()]).toEqual([true, true]);
    expect(await node.call("client", "tcp", magicIp, 80)).toMatchObject({ pod: "target" });
    expect(await node.call("client", "tcp", magicIp, 81)).toMatchObject({ pod: "other" });
    expect(await first.instances()).toEqual(["monitoring.echo", "second"]);
    expect(await first.claims("monitoring.echo")).toEqual([
      { instance: "second", ipAddress: magicIp, protocol: "tcp", port: 81, endPort: 81 },
    ]);
  });

  it("a family whose tool fails once keeps the claims that it had", async () => {
    await backendOf(flavour).write(everything());
    let failing = false;
    const another = new IptablesBackend(flavour, (file, ...rest) =>
      failing && file.startsWith("ip6tables")
        ? Promise.reject(new Error("EAGAIN"))
        : node.command(file, ...rest),
    );
    const before = await another.claims("another");
    failing = true;
    expect(await another.claims("another")).toEqual(expect.arrayContaining(before));
  });

  it("the claims of an installation are its bindings, of every kind", async () => {
    const state = everything();
    await backendOf(flavour).write(state);
    const claims = await backendOf(flavour).claims("another");
    expect(new Set(claims.map(({ instance }) => instance))).toEqual(new Set(["monitoring.echo"]));
    expect(claims.map(bindingName).toSorted()).toEqual(state.bindings.map(bindingName).toSorted());
  });

  it("counts what clients send, what is refused and what comes from outside, and goes on after a change", async () => {
    const backend = backendOf(flavour);
    expect(await backend.counts()).toEqual([]);
    const state = (ips: string[]) => stateOf([binding(magicIp, "80/udp", ips)]);
    await backend.write(state([]));
    await node.call("client", "udp", magicIp, 80);
    await node.call("node", "udp", magicIp, 80);
    await node.call("outside", "udp", magicIp, 80, { deadline: 100 });
    const [refused] = await backend.counts();
    expect(refused?.binding).toBe(`${magicIp}:80/udp`);
    expect([refused?.traffic.packets, refused?.rejected.packets, refused?.outside.packets]).toEqual([
      2, 2, 1,
    ]);
    await backend.write(state(targetIps.slice(0, 1)));
    await node.call("client", "udp", magicIp, 80);
    // An agent that starts anew goes on, too.
    const next = backendOf(flavour);
    await next.write(state(otherIps.slice(0, 1)));
    const [served] = await next.counts();
    expect([served?.traffic.packets, served?.rejected.packets, served?.outside.packets]).toEqual([3, 2, 1]);
    expect(served?.traffic.bytes).toBeGreaterThan(refused?.traffic.bytes ?? 0);
  });

  it.each(["tcp", "udp"] as const)(
    "a %s flow to a pod that left the live set is refused at once",
    async (transport) => {
      const backend = backendOf(flavour);
      const state = (bindings: Partial<Binding>, live: string[]) =>
        stateOf([binding(magicIp, `80/${transport}`, [], bindings)], {
          live: live.map((podIp) => ({ ipAddress: magicIp, podIp })),
        });
      const { targets } = binding(magicIp, `80/${transport}`, targetIps.slice(0, 1));
      const { targets: others } = binding(magicIp, `80/${transport}`, otherIps.slice(0, 1));
      const [target = "", other = ""] = [targetIps[0], otherIps[0]];
      const ask = (from: string) =>
        node.call(from, transport, magicIp, 80, { keep: `${flavour} ${transport}`, deadline: 500 });
      for (const from of ["client", "routed", "node"]) {
        await backend.write(state({ targets }, [target]));
        expect(await ask(from)).toMatchObject({ pod: "target" });
        // It drains: the flow goes on, while new ones would go to the other pod.
        await backend.write(state({ targets: others }, [target, other]));
        expect(await ask(from)).toMatchObject({ pod: "target" });
        await backend.write(state({ targets: others }, [other]));
        // The kernel sends the reset of a bridged packet straight to its port and past the translation, so from the pod's
        // address: that client waits until the agent ends its flow.
        const waits = from === "client" && transport === "tcp";
        expect((await ask(from)).error).toMatch(waits ? "ETIMEDOUT" : /^ECONN(REFUSED|RESET)$/);
      }
    },
  );

  it("a write that failed is made up for by the next one, whole", async () => {
    let failing = true;
    const backend = new IptablesBackend(flavour, (file, args, input) => {
      const broken = failing && file === `ip6tables-${flavour}-restore` ? `${input}nonsense\n` : input;
      return node.command(file, args, broken);
    });
    await backend.write(simple());
    expect(backend.shortfall).toMatch(
      /^the rules of IPv6 could not be brought up to date, those of IPv4 are: /,
    );
    expect(await backend.holds()).toBe(false);
    failing = false;
    await backend.write(simple());
    expect([backend.shortfall, await backend.holds()]).toEqual([undefined, true]);
    expect(await node.call("client", "tcp", magicIp6, 80)).toMatchObject({ pod: "target" });
  });

  it.each([
    'x"\nCOMMIT\n*nat\n-I PREROUTING -j DROP',
    "-j ACCEPT; $(reboot) `id` \\",
    "é".repeat(300),
    `${"a".repeat(126)}.b`,
  ])("an installation named %j breaks nothing and can be removed", async (instance) => {
    const backend = backendOf(flavour);
    await backend.write(simple(targetIps, { instance }));
    expect(await saved(flavour)).not.toMatch(/^-A PREROUTING -j (DROP|ACCEPT)/m);
    expect(await backend.instances()).toHaveLength(1);
    expect(await backend.remove(instance)).toMatchObject([{ ipAddress: magicIp }, { ipAddress: magicIp6 }]);
    expect(await saved(flavour)).toBe("\n");
  });

  it("an interface and a pod with hostile names break nothing", async () => {
    const state = simple(targetIps, { uplinks: ["uplink", 'a"b', "b\\", "-c", "!", "+", "x\n-F"] });
    for (const target of state.bindings.flatMap(({ targets }) => targets))
      target.name = '"\nCOMMIT\n*nat\n-F PREROUTING';
    const backend = backendOf(flavour);
    await backend.write(state);
    const guards = (await saved(flavour)).match(/^-A PREROUTING .*-i .*-GUARD$/gm);
    expect(guards).toHaveLength(2 * 2);
    expect(backend.warning).toContain('on "a\\"b", "b\\\\", "!", "+", "x\\n-F": iptables takes');
    // And what was saved of them is found again.
    await backend.write(simple());
    expect((await saved(flavour)).match(/^-A PREROUTING .*-i .*-GUARD$/gm)).toHaveLength(2);
  });

  describe("without br_netfilter", () => {
    beforeAll(() => node.set({ bridgeNetfilter: { ipv4: false, ipv6: false } }));
    afterAll(() => node.set({ bridgeNetfilter: { ipv4: true, ipv6: true } }));

    it.each([magicIp, magicIp6])(
      "a pod of the target's bridge is masqueraded at %s, others are not",
      async (ip) => {
        const index = ip === magicIp ? 0 : 1;
        await backendOf(flavour).write(
          simple(targetIps, { masquerade: { ipv4: "bridged", ipv6: "bridged" } }),
        );
        const bridged = await node.call("client", "tcp", ip, 80);
        expect(bridged).toMatchObject({ pod: "target", client: bridgeIps[index] });
        const routed = await node.call("routed", "tcp", ip, 80);
        expect(routed).toMatchObject({ pod: "target", client: routedIps[index] });
      },
    );
  });

  it("masquerade: always hides every client, also one that needs no masquerade", async () => {
    await backendOf(flavour).write(simple(targetIps, { masquerade: { ipv4: "always", ipv6: "hairpin" } }));
    const { client } = await node.call("routed", "tcp", magicIp, 80);
    expect(client).toBe(bridgeIps[0]);
    expect(await node.call("client", "tcp", magicIp6, 80)).toMatchObject({ client: clientIps[1] });
  });
});

describe("magic IPs that leave", () => {
  it("are guarded and refused until nothing translates them any more", () => {
    const before = parseListing(ruleset(simple(), "ipv4", around).replaceAll(/^-I (\S+) \d+/gm, "-A $1"));
    const [installation] = before.values();
    const after = stateOf([binding("169.254.210.250", "80/tcp", ["10.9.0.9"])]);
    const text = ruleset(after, "ipv4", around, installation);
    expect(text.match(/^\*\w+$/gm)).toEqual(["*mangle", "*filter", "*nat", "*filter", "*mangle"]);
    const [mangle = "", filter = "", nat = "", filterAtLast = "", mangleAtLast = ""] = text.split("COMMIT\n");
    expect(mangle).toMatch(new RegExp(`-GUARD -d ${magicIp} `));
    expect(filter).toMatch(new RegExp(`-REFUSE -d ${magicIp} `));
    for (const block of [nat, filterAtLast, mangleAtLast]) expect(block).not.toMatch(`-d ${magicIp} `);
  });
});

describe("the flavour of a node", () => {
  const kubelet = (flavour: string) =>
    node.command(
      `iptables-${flavour}-restore`,
      ["--noflush"],
      "*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n",
    );

  it("is iptables-nft where nobody uses the other", async () => {
    expect(await detectFlavour(node.command)).toMatchObject({ flavour: "nft" });
  });

  it.each(flavours)("is iptables-%s where Kubernetes' chains are in it", async (flavour) => {
    await kubelet(flavour);
    const reason = `Kubernetes' chains are in iptables-${flavour}`;
    expect(await detectFlavour(node.command)).toEqual({ flavour, reason });
    await node.command(`iptables-${flavour}`, ["-t", "mangle", "-X", "KUBE-IPTABLES-HINT"]);
  });

  it("is iptables-legacy where iptables-nft does not work, with what it says", async () => {
    const choice = await detectFlavour(async (file, args, input) => {
      if (!file.includes("-nft-")) return await node.command(file, args, input);
      const said = "Failed to initialize nft: Protocol not supported";
      throw new CommandError("FAILED", 1, said, `${file} failed: ${said}`, undefined);
    });
    expect(choice.flavour).toBe("legacy");
    expect(choice.reason).toContain("Protocol not supported");
  });

  it("is nobody's guess where the agent may not ask", async () => {
    const denied = new CommandError("FAILED", 4, "Permission denied (you must be root)", "denied", undefined);
    await expect(detectFlavour(() => Promise.reject(denied))).rejects.toThrow("denied");
  });
});
