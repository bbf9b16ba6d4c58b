import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Config } from "../../agent/config/config.ts";
import { desired } from "../../agent/desired/desired.ts";
import type { Backend } from "../../agent/kernel.ts";
import { address, config, pod } from "../agent/state.ts";
import { type BackendName, backendNames, makeBackend } from "./backends.ts";
import type { Transport } from "./caller.ts";
import { TestNode } from "./node.ts";
import { bridgeIps, nodeIps, type PodNetwork } from "./topology.ts";

/** Index 0 is IPv4, 1 is IPv6, as in a pod's addresses. */
const families = ["IPv4", "IPv6"] as const;
const portsIps = ["169.254.210.210", "fd00:210::210"];
const wholeIps = ["169.254.210.211", "fd00:210::211"];

const targetKinds: Record<string, PodNetwork> = {
  "pod on a bridge": "bridge",
  "pod on a routed veth": "routed",
  "pod on the host network": "host",
};

/** Who calls, and as whom the target sees it: with its own addresses, or with any of the node's. */
const clientKinds = {
  "a pod on a bridge": { name: () => "bridge-client", seenAs: () => ips["bridge-client"] },
  "a pod on a routed veth": { name: () => "routed-client", seenAs: () => ips["routed-client"] },
  "a process of the node": {
    name: () => "node",
    seenAs: (target: string) => (target === "host" ? undefined : nodeIps),
  },
  "the target itself": { name: (target: string) => target, seenAs: () => undefined },
};

let node: TestNode;
const ips: Record<string, string[]> = {};

beforeAll(async () => {
  node = await TestNode.create();
  for (const network of ["bridge", "routed"] as const)
    ips[`${network}-client`] = await node.addPod(`${network}-client`, network);
  for (const network of Object.values(targetKinds)) ips[network] = await node.addPod(network, network);
  await Promise.all(Object.values(targetKinds).map((network) => node.serve(network, [8080])));
});

afterAll(() => node?.remove());

/** One address with ports and one that is a whole IP, both of both families. */
function bothAddresses(hostNetworkTargets: boolean): Config {
  const ports = ["TCP", "UDP", "SCTP"].map((protocol) => ({ port: 80, targetPort: 8080, protocol }));
  const [portsIp, portsIp6] = portsIps;
  const [wholeIp, wholeIp6] = wholeIps;
  return config({
    addresses: [
      address({ ipAddress: portsIp, ipv6Address: portsIp6, hostNetworkTargets, ports }),
      address({ ipAddress: wholeIp, ipv6Address: wholeIp6, hostNetworkTargets, ports: undefined }),
    ],
  });
}

/** All three pods match and are ready: the target is the newest, the others are live decoys. */
function podsWithTarget(target: PodNetwork) {
  return Object.values(targetKinds).map((network) =>
    pod(network, {
      ips: ips[network],
      hostNetwork: network === "host",
      created: network === target ? "2026-11-02T00:00:00Z" : "2026-11-01T00:00:00Z",
    }),
  );
}

const cells = families.flatMap((family, index) =>
  (["tcp", "udp", "icmp"] as const).map((transport) => ({ family, index, transport })),
);

/** ICMP has no ports, so only a whole IP leads it anywhere. */
const destination = (transport: Transport, index: number) =>
  (transport === "icmp" ? wholeIps : portsIps)[index] ?? "";

describe.each(backendNames)("with %s", (backendName) => {
  describe.each(Object.entries(targetKinds))("a target that is a %s", (_kind, target) => {
    let backend: Backend;

    beforeAll(async () => {
      await node.clear();
      backend = makeBackend(backendName, node.command, node.tables);
      await backend.write(desired(bothAddresses(target === "host"), node.facts, podsWithTarget(target)));
    });

    /** Packets of all clients so far that reached a live pod which is not the target. */
    async function wrongDeliveries(): Promise<string[]> {
      const decoys = Object.values(targetKinds).filter((network) => network !== target);
      return (await Promise.all(decoys.map((decoy) => node.sightings(decoy)))).flat();
    }

    describe.each(Object.entries(clientKinds))("called by %s", (_client, { name, seenAs }) => {
      it.each(cells)("over $family and $transport answers", async ({ index, transport }) => {
        const answer = await node.call(name(target), transport, destination(transport, index), 80);
        expect(answer.error).toBeUndefined();
        if (transport !== "icmp") expect(answer.uid).toBe(`uid-${target}`);
        const client = answer.client ?? (await pinged(target, index));
        const own = seenAs(target)?.[index];
        if (own === undefined) expect([bridgeIps[index], nodeIps[index]]).toContain(client);
        else expect(client).toBe(own);
      });

      it("is not led to any other pod", async () => expect(await wrongDeliveries()).toEqual([]));
    });

    describe("called by an outside host", () => {
      it.each(cells)("over $family and $transport sees nothing of it", async ({ index, transport }) => {
        await node.sightings(target);
        const ip = destination(transport, index);
        const answer = await node.call("outside", transport, ip, 80, { deadline: 100 });
        expect(answer.error).toBe("ETIMEDOUT");
        expect(await node.sightings(target)).toEqual([]);
        const counts = (await backend.counts()).filter(({ outside }) => outside.packets > 0);
        expect(counts.map(({ binding }) => binding)).toContain(bindingOf(transport, ip));
      });

      it("is not led to any other pod", async () => expect(await wrongDeliveries()).toEqual([]));
    });

    it.each(families)("has its rule for SCTP over %s, which this kernel cannot send", async (family) => {
      const index = families.indexOf(family);
      const to = ips[target]?.[index] ?? "";
      expect(await rules(backendName)).toMatch(sctpRule(backendName, portsIps[index] ?? "", to));
    });
  });
});

/** Who pinged the target; a kernel answers without saying whom. */
async function pinged(target: string, index: number): Promise<string | undefined> {
  const pings = (await node.sightings(target)).filter((sighting) => sighting.endsWith(" icmp"));
  const ofFamily = pings.filter((sighting) => sighting.includes(":") === (index === 1));
  expect(ofFamily).toHaveLength(1);
  return ofFamily[0]?.split(" ")[0];
}

const bindingOf = (transport: Transport, ip: string) =>
  transport === "icmp" ? ip : `${ip.includes(":") ? `[${ip}]` : ip}:80/${transport}`;

async function rules(backendName: BackendName): Promise<string> {
  const tools = backendName === "nftables" ? [["nft", "list", "ruleset"]] : [];
  const flavour = backendName.replace("iptables-", "");
  if (tools.length === 0) tools.push([`iptables-${flavour}-save`], [`ip6tables-${flavour}-save`]);
  return (await Promise.all(tools.map(async (argv) => (await node.in("node", argv)).stdout))).join("\n");
}

/** The protocol and its port, and the target with its own port, as the tool says them. */
function sctpRule(backendName: BackendName, ip: string, target: string): RegExp {
  const to = target.includes(":") ? `\\[${target}\\]` : target;
  return backendName === "nftables"
    ? new RegExp(`${ip} \\. sctp \\. 80 : ${target} \\. 8080\\b`)
    : new RegExp(`-p sctp .*--dport 80 .*--to-destination ${to}:8080$`, "m");
}
