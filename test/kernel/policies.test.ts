import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { dualStack, families, type FamilyName, ipOf, magicIps, Scene } from "./scene.ts";

/**
 * NetworkPolicies as network plugins enforce them: in the node's FORWARD hook (Calico with iptables, kube-router), or where
 * packets enter and leave the pods' own interfaces (eBPF programs, Open vSwitch).
 */
type Place = "forward" | "interface";
/** What drops: the client's egress to the target's IP, the target's ingress from the client's IP; FORWARD sees both. */
type Policy = "egress" | "ingress" | "both";

/** The clients with the node's ends of their links; `old`, the target, has veth4. */
const links = { "bridge-client": "veth2", "routed-client": "cali3" } as const;
type Client = keyof typeof links;
const clientIps: Record<Client, string[]> = {
  "bridge-client": ["10.9.0.2", "fd00:9::2"],
  "routed-client": ["10.10.0.3", "fd00:10::3"],
};

let scene: Scene;

beforeAll(async () => {
  scene = await Scene.create();
});

afterAll(() => scene?.remove());

function policyTable(
  place: Place,
  policy: Policy,
  client: Client,
  family: FamilyName,
  target = ipOf(scene.old.ips, family),
): string {
  const [header, from] = [family === "IPv4" ? "ip" : "ip6", ipOf(clientIps[client], family)];
  const chain = (hook: string, match: string) =>
    `chain policies {\ntype filter hook ${hook} priority 0\n${header} ${match} drop\n}\n`;
  if (place === "forward")
    return `table inet policies {\n${chain("forward", `saddr ${from} ${header} daddr ${target}`)}}\n`;
  const [hook, match] =
    policy === "egress"
      ? [`ingress device "${links[client]}"`, `daddr ${target}`]
      : ['egress device "veth4"', `saddr ${from}`];
  return `table netdev policies {\n${chain(hook, match)}}\n`;
}

async function reached(client: Client, ip: string, port: number): Promise<boolean> {
  const answers = await Promise.all(
    (["tcp", "udp"] as const).map((transport) =>
      scene.node.call(client, transport, ip, port, { deadline: 300 }),
    ),
  );
  const [tcp, udp] = answers.map(({ uid }) => uid === "uid-old");
  if (tcp !== udp) throw new Error(`TCP and UDP differ: ${JSON.stringify(answers)}`);
  return tcp === true;
}

/** What a node's switches and the configuration make of it. */
const modes = {
  auto: { masquerade: "auto", bridgeNetfilter: true },
  "auto without br_netfilter": { masquerade: "auto", bridgeNetfilter: false },
  always: { masquerade: "always", bridgeNetfilter: true },
} as const;
type Mode = keyof typeof modes;

/** Whether the policy holds for what goes through the magic IP. */
function holds(mode: Mode, place: Place, policy: Policy, client: Client): boolean {
  if (place === "forward") return true;
  // The packet still has the magic IP as its destination there.
  if (policy === "egress") return false;
  return mode === "auto" || (mode === "auto without br_netfilter" && client === "routed-client");
}

/** Straight to the pod it holds, but for two pods of one bridge whose packets do not pass FORWARD. */
function holdsStraight(mode: Mode, place: Place, client: Client): boolean {
  return place === "interface" || client === "routed-client" || modes[mode].bridgeNetfilter;
}

describe.each(families)("a NetworkPolicy over %s", (family) => {
  beforeEach(() => scene.start("nftables"));

  async function sync(mode: Mode): Promise<void> {
    const { masquerade, bridgeNetfilter } = modes[mode];
    await scene.node.set({ bridgeNetfilter: { ipv4: bridgeNetfilter, ipv6: bridgeNetfilter } });
    await scene.sync([scene.old], dualStack({}, { masquerade }));
  }

  const cells = (Object.keys(modes) as Mode[]).flatMap((mode) =>
    (Object.keys(links) as Client[]).flatMap((client) =>
      (
        [
          ["forward", "both"],
          ["interface", "ingress"],
          ["interface", "egress"],
        ] as const
      ).map(([place, policy]) => ({ mode, client, place, policy })),
    ),
  );

  it.each(cells)("at the $place ($policy), masquerade $mode, $client", async (cell) => {
    const { mode, client, place, policy } = cell;
    await sync(mode);
    expect(await reached(client, magicIps[family], 80)).toBe(true);
    await scene.node.load(policyTable(place, policy, client, family));
    await scene.node.in("node", ["conntrack", "-F"]);
    const straight = await reached(client, ipOf(scene.old.ips, family), 8080);
    expect(straight).toBe(!holdsStraight(mode, place, client));
    expect(await reached(client, magicIps[family], 80)).toBe(!holds(mode, place, policy, client));
  });

  it.each(Object.keys(links) as Client[])(
    "that forbids the magic IP to the %s at its interface holds",
    async (client) => {
      await sync("auto");
      await scene.node.load(policyTable("interface", "egress", client, family, magicIps[family]));
      expect(await reached(client, magicIps[family], 80)).toBe(false);
    },
  );
});
