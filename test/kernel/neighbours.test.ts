import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type BackendName, triedBackends } from "./backends.ts";
import { clients, dualStack, families, familiesOf, type FamilyName, ipOf, magicIps, Scene } from "./scene.ts";
import { bridgeIps, nodeIps, outsideIps } from "./topology.ts";

const transports = ["tcp", "udp"] as const;
const tools = ["nft", "iptables-nft", "iptables-legacy"] as const;
/** A Service, and a port of the node, with the port number of the magic IP. */
const serviceIps: Record<FamilyName, string> = { IPv4: "10.96.0.50", IPv6: "fd00:96::50" };

let scene: Scene;

beforeAll(async () => {
  scene = await Scene.create();
});

afterAll(() => scene?.remove());

/** Translation as kube-proxy and CNI's portmap make it, by whatever tool: at priority -100, for pods and the node. */
async function translate(
  tool: (typeof tools)[number],
  match: "service" | "hostPort" | "rival",
): Promise<void> {
  for (const family of families) {
    const to = ipOf(scene.young.ips, family);
    const ip = { service: serviceIps[family], rival: magicIps[family], hostPort: undefined }[match];
    if (tool === "nft") await scene.node.load(nftRules(family, ip, to, match));
    else await iptablesRules(tool, family, ip, to);
  }
}

function nftRules(family: FamilyName, ip: string | undefined, to: string, name: string): string {
  const header = family === "IPv4" ? "ip" : "ip6";
  const match = ip === undefined ? "fib daddr type local" : `${header} daddr ${ip}`;
  const target = header === "ip" ? `${to}:8080` : `[${to}]:8080`;
  const rules = transports.map((transport) => `${match} ${transport} dport 80 dnat to ${target}`).join("\n");
  const chain = (hook: string) => `chain ${hook} {\ntype nat hook ${hook} priority -100\n${rules}\n}`;
  const table = `${header} ${name}`;
  return `table ${table}\ndelete table ${table}\ntable ${table} {\n${chain("prerouting")}\n${chain("output")}\n}\n`;
}

async function iptablesRules(tool: string, family: FamilyName, ip: string | undefined, to: string) {
  const target = family === "IPv4" ? `${to}:8080` : `[${to}]:8080`;
  const match = ip === undefined ? "-m addrtype --dst-type LOCAL" : `-d ${ip}`;
  const rules = ["PREROUTING", "OUTPUT"].flatMap((chain) =>
    transports.map(
      (transport) => `-A ${chain} ${match} -p ${transport} --dport 80 -j DNAT --to-destination ${target}`,
    ),
  );
  const restore = `${family === "IPv4" ? tool : tool.replace("ip", "ip6")}-restore`;
  const input = `*nat\n${rules.join("\n")}\nCOMMIT\n`;
  await scene.node.in("node", [restore, "--noflush", "-w", "5"], { input });
}

async function answers(ip: string, port = 80): Promise<Record<string, string | undefined>> {
  const cells = clients.flatMap((client) => transports.map((transport) => ({ client, transport })));
  const entries = cells.map(async ({ client, transport }): Promise<[string, string | undefined]> => {
    const { uid, error } = await scene.node.call(client, transport, ip, port, { deadline: 500 });
    return [`${client} ${transport}`, uid ?? error];
  });
  return Object.fromEntries(await Promise.all(entries));
}

const everybody = (answer: string) =>
  Object.fromEntries(
    clients.flatMap((client) => transports.map((transport) => [`${client} ${transport}`, answer])),
  );

describe.each(triedBackends)("with %s", (backendName) => {
  beforeEach(() => scene.start(backendName));

  describe.each(tools)("beside rules of %s", (tool) => {
    it.each([
      ["before", true],
      ["after", false],
    ])(
      "a Service with the same port, there %s the magic IP, and the magic IP work both",
      async (_when, first) => {
        if (first) await translate(tool, "service");
        await scene.sync([scene.old]);
        if (!first) await translate(tool, "service");
        for (const family of families) {
          expect(await answers(serviceIps[family])).toEqual(everybody("uid-young"));
          expect(await answers(magicIps[family])).toEqual(everybody("uid-old"));
        }
      },
    );

    it("a hostPort with the same number goes on for pods and for the world outside", async () => {
      await translate(tool, "hostPort");
      await scene.sync([scene.old]);
      for (const family of families) {
        const nodeIp = ipOf(nodeIps, family);
        for (const client of ["routed-client", "outside"])
          for (const transport of transports)
            expect(await scene.node.call(client, transport, nodeIp, 80)).toMatchObject({ uid: "uid-young" });
        expect(await answers(magicIps[family])).toEqual(everybody("uid-old"));
      }
    });
  });

  // Where both are iptables' and another tool's nat at -100, the kernel asks the one first that was registered last.
  it.each(tools.filter((tool) => backendName === "nftables" || backendName === tool))(
    "the magic IP wins over a rule of %s that claims it, too, and was there first",
    async (tool) => {
      await translate(tool, "rival");
      await scene.sync([scene.old]);
      for (const family of families) expect(await answers(magicIps[family])).toEqual(everybody("uid-old"));
    },
  );

  it("what goes to the same port of any other address is left alone", async () => {
    await scene.sync([scene.old]);
    for (const family of families) {
      expect(await answers(ipOf(scene.routed.ips, family), 8080)).toEqual(everybody("uid-routed"));
      const outside = ipOf(outsideIps, family);
      const leaked = await scene.node.leaks(outside, () =>
        scene.node.call("bridge-client", "tcp", outside, 80),
      );
      expect(leaked).toBeGreaterThan(0);
    }
  });
});

describe.each(tools)("with nftables, beside rules of %s", (tool) => {
  it("the magic IP wins over a rule that claims it, too, and came later", async () => {
    await scene.start("nftables");
    await scene.sync([scene.old]);
    await translate(tool, "rival");
    for (const family of families) expect(await answers(magicIps[family])).toEqual(everybody("uid-old"));
  });
});

describe.each(triedBackends)("on a node set up in another way, with %s", (backendName: BackendName) => {
  /** Whom the target sees when each client calls it. */
  async function seenClients(family: FamilyName): Promise<Record<string, string | undefined>> {
    const seen = clients.map(async (client): Promise<[string, string | undefined]> => {
      const answer = await scene.node.call(client, "tcp", magicIps[family], 80, { deadline: 500 });
      return [client, answer.uid === "uid-old" ? answer.client : `${answer.uid} ${answer.error}`];
    });
    return Object.fromEntries(await Promise.all(seen));
  }

  const own = (family: FamilyName) => ({
    "bridge-client": ipOf(["10.9.0.2", "fd00:9::2"], family),
    "routed-client": ipOf(["10.10.0.3", "fd00:10::3"], family),
    node: ipOf(nodeIps, family),
  });

  beforeEach(async () => {
    const on = { ipv4: true, ipv6: true };
    await scene.start(backendName);
    await scene.node.set({ bridgeNetfilter: on, reversePathFilter: 0, tcpLoose: true });
  });

  describe.each(familiesOf(backendName))("over %s", (family) => {
    it("br_netfilter on keeps every client's own address", async () => {
      await scene.sync([scene.old]);
      expect(await seenClients(family)).toEqual(own(family));
    });

    it("br_netfilter off hides those clients only that share a bridge with the target", async () => {
      await scene.node.set({ bridgeNetfilter: { ipv4: false, ipv6: false } });
      await scene.sync([scene.old]);
      const seen = await seenClients(family);
      expect(seen["bridge-client"]).toBe(ipOf(bridgeIps, family));
      if (backendName === "nftables")
        expect(seen).toMatchObject({ ...own(family), "bridge-client": expect.any(String) });
      expect(await answers(magicIps[family])).toEqual(everybody("uid-old"));
    });

    it("br_netfilter off hides no client of a target on a routed veth", async () => {
      await scene.node.set({ bridgeNetfilter: { ipv4: false, ipv6: false } });
      await scene.sync([scene.routed]);
      for (const client of clients) {
        const answer = await scene.node.call(client, "udp", magicIps[family], 80, { deadline: 500 });
        expect(answer).toMatchObject({ uid: "uid-routed", client: own(family)[client] });
      }
    });

    it("masquerade: always hides every client", async () => {
      await scene.sync([scene.old], dualStack({}, { masquerade: "always" }));
      const bridge = ipOf(bridgeIps, family);
      expect(await seenClients(family)).toEqual(
        Object.fromEntries(clients.map((client) => [client, bridge])),
      );
    });

    it.each([true, false])("a target may dial its own magic IP, br_netfilter %s", async (on) => {
      await scene.node.set({ bridgeNetfilter: { ipv4: on, ipv6: on } });
      await scene.sync([scene.old, scene.routed], dualStack({ loadBalance: false }));
      for (const transport of transports) {
        const answer = await scene.node.call("old", transport, magicIps[family], 80, { deadline: 500 });
        expect(answer).toMatchObject({ uid: "uid-old" });
      }
    });

    it.each([true, false])("without a target bridged pods are refused, br_netfilter %s", async (on) => {
      await scene.node.set({ bridgeNetfilter: { ipv4: on, ipv6: on } });
      await scene.sync([]);
      expect(await answers(magicIps[family])).toEqual(everybody("ECONNREFUSED"));
    });

    it.each([0, 1, 2] as const)("reverse path filter %s is content", async (reversePathFilter) => {
      await scene.node.set({ reversePathFilter });
      for (const [target, uid] of [
        [scene.old, "uid-old"],
        [scene.routed, "uid-routed"],
      ] as const) {
        await scene.sync([target]);
        expect(await answers(magicIps[family])).toEqual(everybody(uid));
        const itself = await scene.node.call(target.name, "tcp", magicIps[family], 80, { deadline: 500 });
        expect(itself).toMatchObject({ uid });
      }
    });
  });
});

describe("a magic IP that the node has itself, as kube-proxy's ipvs mode gives it a Service's external IP", () => {
  const magicIp = magicIps.IPv4;

  beforeAll(async () => {
    await scene.node.addPod("host-process", "host");
    await scene.node.serve("host-process", [80], ["0.0.0.0"]);
    await scene.node.in("node", ["ip", "link", "add", "kube-ipvs0", "type", "bridge"]);
    await scene.node.in("node", ["ip", "address", "add", `${magicIp}/32`, "dev", "kube-ipvs0"]);
  });

  afterAll(() => scene.node.in("node", ["ip", "link", "delete", "kube-ipvs0"]));

  it("leads pods to the target all the same", async () => {
    await scene.start("nftables");
    const call = () => scene.node.call("bridge-client", "tcp", magicIp, 80, { deadline: 1_000 });
    await scene.sync([scene.old]);
    expect(await call()).toMatchObject({ uid: "uid-old" });
  });
});
