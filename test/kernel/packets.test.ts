import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cleanUp } from "../../agent/sync/cleanup.ts";
import { desired } from "../../agent/desired/desired.ts";
import { bindingName } from "../../agent/desired/state.ts";
import { flowKinds } from "../../agent/kernel.ts";
import { flowTable } from "../../agent/desired/flows.ts";
import { Conntrack } from "../../agent/netfilter/conntrack.ts";
import type { Pod } from "../../agent/kubernetes/pod.ts";
import { address, config, pod } from "../agent/state.ts";
import type { Command } from "../../agent/netfilter/command.ts";
import { triedBackends, makeBackend } from "./backends.ts";
import { clients, dualStack, families, familiesOf, ipOf, magicIps, Scene } from "./scene.ts";

const transports = ["tcp", "udp"] as const;
const dualStackNames = families.flatMap((family) =>
  transports.map(
    (transport) => `${family === "IPv4" ? magicIps.IPv4 : `[${magicIps.IPv6}]`}:80/${transport}`,
  ),
);

let scene: Scene;
let host: Pod;
let flows: Conntrack;
/** Ports of clients below those that the kernel hands out. */
let lastPort = 20_000;

beforeAll(async () => {
  scene = await Scene.create();
  flows = new Conntrack(scene.node.netlink("flows"));
  host = pod("host", { ips: await scene.node.addPod("host", "host"), hostNetwork: true });
  await scene.node.serve("host", [8080]);
});

afterAll(async () => {
  flows?.end();
  await scene?.remove();
});

/** Conntrack has a flow that it never saw: what a pod leaves that ends with connections under way. */
async function rememberFlow({ client, sourcePort, to, state }: RememberedFlow): Promise<void> {
  const way = ["-s", client, "-d", magicIps.IPv4, "--sport", `${sourcePort}`, "--dport", "80"];
  const reply = ["-g", `${ipOf(to.ips, "IPv4")}:8080`, "-u", "SEEN_REPLY,ASSURED"];
  const life = ["--state", state, "--timeout", "60"];
  await scene.node.in("node", ["conntrack", "-I", "-p", "tcp", ...way, ...reply, ...life]);
}

interface RememberedFlow {
  client: string;
  sourcePort: number;
  to: Pod;
  state: string;
}

/** What the agent does after a commit. */
async function endFlows(pods: Pod[]): Promise<void> {
  const state = desired(dualStack(), scene.node.facts, pods);
  for (const kind of flowKinds) await flows.pass(kind, flowTable({ states: [state] }));
}

describe.each(triedBackends)("with %s", (backendName) => {
  const tried = familiesOf(backendName);
  beforeEach(() => scene.start(backendName));

  describe.each(tried)("a client that calls the magic IP over %s", (family) => {
    const magicIp = magicIps[family];

    it.each(transports)(
      "and %s reaches the newer pod after a swap, and misses nothing on the way but datagrams in flight",
      async (transport) => {
        await scene.sync([scene.old]);
        const calls = scene.node.callAll("bridge-client", transport, magicIp, 80, 5);
        await calls.next(({ uid }) => uid === "uid-old");
        await scene.sync([scene.old, scene.young]);
        if (transport === "udp") await endFlows([scene.old, scene.young]);
        await calls.next(({ uid }) => uid === "uid-young");
        const answers = await calls.end();
        const missed = answers.filter(({ error }) => error !== undefined);
        // The answers to datagrams that are under way when their flow ends have no flow to come back by.
        expect(missed.length).toBeLessThanOrEqual(transport === "udp" ? 3 : 0);
        const afterwards = answers.slice(answers.findIndex(({ uid }) => uid === "uid-young"));
        if (transport === "udp") expect(afterwards.filter(({ uid }) => uid === "uid-old")).toEqual([]);
      },
    );

    it("leaves the target's own address alone", async () => {
      await scene.sync([scene.old]);
      for (const client of clients)
        for (const transport of transports) {
          const answer = await scene.node.call(client, transport, ipOf(scene.young.ips, family), 8080);
          expect(answer).toMatchObject({ uid: "uid-young" });
        }
    });
  });

  describe.each(tried)("a TCP connection that a client keeps over %s", (family) => {
    const ask = (client: string, keep: string) =>
      scene.node.call(client, "tcp", magicIps[family], 80, { keep, deadline: 1_000 });

    describe.each(clients)("from %s", (client) => {
      it.each([1, 0])("is reset at once when its pod is gone, with tcp_loose=%s", async (loose) => {
        await scene.node.set({ tcpLoose: loose === 1 });
        const keep = `${backendName} gone ${loose} ${family}`;
        await scene.sync([scene.old]);
        expect(await ask(client, keep)).toMatchObject({ uid: "uid-old" });
        await scene.sync([scene.young]);
        // iptables can refuse only after the translation, and the kernel sends the reset of a bridged connection as it
        // is then: from the pod's address, which the client does not know. There the end of stale flows does it.
        if (backendName !== "nftables") await endFlows([scene.young]);
        const { error, milliseconds } = await ask(client, keep);
        expect(["ECONNRESET", "ECONNREFUSED", "EPIPE"]).toContain(error);
        expect(milliseconds).toBeLessThan(1_000);
        expect(await ask(client, `${keep} anew`)).toMatchObject({ uid: "uid-young" });
      });

      // A pod that closed a connection answers what seems to go on from its port with an ACK, for a minute (TIME_WAIT).
      it("is reset when its pod is gone, though the next pod had a connection from that port", async () => {
        const keep = `${backendName} port ${family}`;
        const port = { sourcePort: ++lastPort, deadline: 1_000 };
        const [address, last] = [magicIps[family], 80] as const;
        await scene.node.set({ tcpLoose: true });
        await scene.sync([scene.young]);
        expect(await scene.node.call(client, "tcp", address, last, port)).toMatchObject({ uid: "uid-young" });
        await scene.sync([scene.old]);
        expect(await scene.node.call(client, "tcp", address, last, { ...port, keep })).toMatchObject({
          uid: "uid-old",
        });
        await scene.sync([scene.young]);
        await endFlows([scene.young]);
        const { error } = await scene.node.call(client, "tcp", address, last, { ...port, keep });
        expect(["ECONNRESET", "ECONNREFUSED", "EPIPE"]).toContain(error);
      });

      it("is reset at once when its pod on the host network is gone", async () => {
        const keep = `${backendName} host ${family}`;
        const allowed = dualStack({ hostNetworkTargets: true });
        await scene.sync([host], allowed);
        expect(await ask(client, keep)).toMatchObject({ uid: "uid-host" });
        await scene.sync([scene.young], allowed);
        if (backendName !== "nftables") await endFlows([scene.young]);
        const { error, milliseconds } = await ask(client, keep);
        expect(["ECONNRESET", "ECONNREFUSED", "EPIPE"]).toContain(error);
        expect(milliseconds).toBeLessThan(1_000);
      });

      it.each([
        ["drains", { terminating: true }],
        ["is not ready for a while", { ready: false }],
      ])("goes on while its pod %s, and new ones reach the other", async (state, changes) => {
        const keep = `${backendName} ${state} ${family}`;
        await scene.sync([scene.old]);
        expect(await ask(client, keep)).toMatchObject({ uid: "uid-old" });
        const pods = [{ ...scene.old, ...changes }, scene.young];
        await scene.sync(pods);
        await endFlows(pods);
        expect(await ask(client, keep)).toMatchObject({ uid: "uid-old" });
        expect(await ask(client, `${keep} anew`)).toMatchObject({ uid: "uid-young" });
      });
    });
  });

  describe.each(tried)("a UDP flow that a client keeps over %s", (family) => {
    const magicIp = magicIps[family];

    it.each(clients)("from %s is cut in the transaction that removes the target", async (client) => {
      const ask = () =>
        scene.node.call(client, "udp", magicIp, 80, { keep: `${backendName} cut ${family}`, deadline: 500 });
      await scene.sync([scene.old]);
      expect(await ask()).toMatchObject({ uid: "uid-old" });
      await scene.sync([]);
      await scene.node.sightings("old");
      expect(await ask()).toMatchObject({ error: "ECONNREFUSED" });
      // Whoever has that IP by now must not see it.
      expect(await scene.node.sightings("old")).toEqual([]);
    });

    it("moves from no target to the one that comes, without conntrack's help", async () => {
      await scene.sync([]);
      const calls = scene.node.callAll("bridge-client", "udp", magicIp, 80, 20);
      await calls.next(({ error }) => error === "ECONNREFUSED");
      await scene.sync([scene.old]);
      expect(await calls.next(({ uid }) => uid !== undefined)).toMatchObject({ uid: "uid-old" });
      await calls.end();
    });

    it("moves from a pod that drains to the new one as soon as stale flows are ended", async () => {
      await scene.sync([scene.old]);
      const ask = () =>
        scene.node.call("routed-client", "udp", magicIp, 80, { keep: `${backendName} ${family}` });
      expect(await ask()).toMatchObject({ uid: "uid-old" });
      const pods = [{ ...scene.old, terminating: true }, scene.young];
      await scene.sync(pods);
      await endFlows(pods);
      expect(await ask()).toMatchObject({ uid: "uid-young" });
    });
  });

  describe.each(tried)("a datagram that is larger than every packet on its way, over %s,", (family) => {
    // As where the node's network takes jumbo frames and its pods' is a tunnel.
    beforeAll(() => setMtus({ pods: 1450, node: 9001 }));
    afterAll(() => setMtus({ pods: 1500, node: 1500 }));

    it.each(clients)("from %s comes whole, and so does its answer", async (client) => {
      await scene.sync([scene.old]);
      const answer = await scene.node.call(client, "udp", magicIps[family], 80, { bytes: 8192 });
      expect(answer).toMatchObject({ uid: "uid-old", bytes: 8192 });
    });
  });

  it("a pod without a default route is told so by its own kernel, and needs no more than a route to the magic IP", async () => {
    await scene.sync([scene.old]);
    const call = () => scene.node.call("bridge-client", "udp", magicIps.IPv4, 80);
    const ip = (command: string) => scene.node.in("bridge-client", ["ip", ...command.split(" ")]);
    await ip("route del default");
    try {
      expect(await call()).toMatchObject({ error: "ENETUNREACH" });
      await ip(`route add ${magicIps.IPv4} via 10.9.0.1`);
      expect(await call()).toMatchObject({ uid: "uid-old" });
      await ip(`route del ${magicIps.IPv4}`);
    } finally {
      await ip("route replace default via 10.9.0.1");
    }
  });

  it("rules that somebody changed before they were looked at are no success, and are written once more", async () => {
    const damage = {
      nftables: ["nft", "flush", "chain", "inet", "magic-ip-test.echo", "nat-prerouting"],
      "iptables-nft": ["iptables-nft", "-t", "nat", "-D", "PREROUTING", "1"],
      "iptables-legacy": ["iptables-legacy", "-t", "nat", "-D", "PREROUTING", "1"],
    }[backendName];
    let damaged = false;
    const damaging: Command = async (file, args, input, keep) => {
      const answer = await scene.node.command(file, args, input, keep);
      if (input !== undefined && !input.includes("-v -S ") && !damaged) {
        damaged = true;
        await scene.node.in("node", damage);
      }
      return answer;
    };
    const backend = makeBackend(backendName, damaging, scene.node.tables);
    const fault = await scene.sync([scene.old], dualStack(), backend).then(
      () => backend.shortfall,
      ({ message }: Error) => message,
    );
    expect(fault).toMatch(/than were just written/);
    await scene.sync([scene.old], dualStack(), backend);
    expect(await backend.holds(true)).toBe(true);
    const answer = await scene.node.call("bridge-client", "tcp", magicIps.IPv4, 80);
    expect(answer).toMatchObject({ uid: "uid-old" });
  });

  describe("two installations on one node", () => {
    it("may share a magic IP on different ports", async () => {
      const ports = [{ port: 81, targetPort: 8080 }];
      const other = config({ instance: "other.echo", addresses: [address({ ports })] });
      const otherBackend = makeBackend(backendName, scene.node.command, scene.node.tables);
      await scene.sync([scene.old]);
      await scene.sync([scene.young], other, otherBackend);
      const call = (port: number) => scene.node.call("bridge-client", "tcp", magicIps.IPv4, port);
      expect(await call(80)).toMatchObject({ uid: "uid-old" });
      expect(await call(81)).toMatchObject({ uid: "uid-young" });
      const kept = () => scene.node.call("bridge-client", "tcp", magicIps.IPv4, 80, { keep: backendName });
      expect(await kept()).toMatchObject({ uid: "uid-old" });
      expect(await flowsTo(81)).not.toBe("");
      await cleanUp("other.echo", [otherBackend], flows);
      expect(await flowsTo(81)).toBe("");
      expect(await kept()).toMatchObject({ uid: "uid-old" });
      expect(await call(80)).toMatchObject({ uid: "uid-old" });
      expect(await call(81)).toMatchObject({ error: "ECONNREFUSED" });
      await scene.sync([scene.old, scene.young]);
      expect(await call(80)).toMatchObject({ uid: "uid-young" });
    });
  });

  describe("the counters of a binding", () => {
    it("say what was sent and what was refused, and survive other targets and the agent's restart", async () => {
      const call = () => scene.node.call("bridge-client", "tcp", magicIps.IPv4, 80);
      const count = async () =>
        (await scene.backend.counts()).find(({ binding }) => binding === `${magicIps.IPv4}:80/tcp`);
      await scene.sync([]);
      await call();
      const first = await count();
      expect(first?.rejected.packets).toBe(1);
      await scene.sync([scene.old]);
      await call();
      const second = await count();
      expect(second?.traffic.packets).toBeGreaterThan(first?.traffic.packets ?? 0);
      expect(second?.rejected.packets).toBe(1);
      await scene.sync([scene.young]);
      scene.restart(backendName);
      await scene.sync([scene.young], dualStack({ loadBalance: true }));
      const third = await count();
      expect(third?.rejected.packets).toBe(1);
      expect(third?.traffic.packets).toBeGreaterThanOrEqual(second?.traffic.packets ?? Infinity);
      expect(third?.traffic.bytes).toBeGreaterThanOrEqual(second?.traffic.bytes ?? Infinity);
    });
  });
});

describe("with nftables", () => {
  beforeEach(() => scene.start("nftables"));

  describe("a connection from a port that an earlier one had, which its pod took with it", () => {
    const sourcePort = 40_123;

    it.each([
      "SYN_SENT",
      "SYN_RECV",
      "ESTABLISHED",
      "FIN_WAIT",
      "CLOSE_WAIT",
      "LAST_ACK",
      "TIME_WAIT",
      "CLOSE",
    ])("in the state %s reaches the new pod, once stale flows are ended", async (state) => {
      await scene.sync([scene.old]);
      const { client = "" } = await scene.node.call("bridge-client", "tcp", magicIps.IPv4, 80);
      await rememberFlow({ client, sourcePort, to: scene.old, state });
      await scene.sync([scene.young]);
      await endFlows([scene.young]);
      const call = await scene.node.call("bridge-client", "tcp", magicIps.IPv4, 80, { sourcePort });
      expect(call).toMatchObject({ uid: "uid-young" });
    });

    it("loses nothing to the end of an earlier one that is over", async () => {
      await scene.sync([scene.old]);
      const { client = "" } = await scene.node.call("bridge-client", "tcp", magicIps.IPv4, 80);
      await rememberFlow({ client, sourcePort, to: scene.old, state: "TIME_WAIT" });
      await rememberFlow({ client, sourcePort: sourcePort + 1, to: scene.old, state: "ESTABLISHED" });
      await scene.sync([scene.young]);
      await endFlows([scene.young]);
      const to = ["-p", "tcp", "--orig-dst", magicIps.IPv4];
      const { stdout } = await scene.node.in("node", ["conntrack", "-L", ...to]);
      expect(stdout).toContain(`sport=${sourcePort} `);
      expect(stdout).not.toContain(`sport=${sourcePort + 1} `);
    });
  });

  describe("removal", () => {
    it("leaves the ruleset as it was before, byte for byte, and succeeds when there is nothing", async () => {
      await scene.node.load("table ip other { chain c { type nat hook prerouting priority -100; }; }");
      const before = await listRuleset();
      await scene.sync([scene.old]);
      expect(await listRuleset()).not.toBe(before);
      const gone = (await scene.backend.remove("test.echo"))?.map(bindingName);
      expect(gone?.toSorted()).toEqual(dualStackNames.toSorted());
      expect(await listRuleset()).toBe(before);
      expect(await scene.backend.remove("test.echo")).toBeUndefined();
      expect(await listRuleset()).toBe(before);
    });
  });
});

async function setMtus({ pods, node }: { pods: number; node: number }): Promise<void> {
  const set = (device: string, mtu: number) => `ip link set ${device} mtu ${mtu}`;
  const links = "for link in $(ip -o link | grep -Eo '(cni|veth|cali)[0-9]+'); do";
  const ofNode = `${set("uplink", node)}; ${links} ${set("$link", pods)}; done`;
  await scene.node.in("node", ["sh", "-ec", ofNode]);
  for (const pod of ["bridge-client", "routed-client", "old"])
    await scene.node.in(pod, ["sh", "-ec", set("eth0", pods)]);
}

async function flowsTo(port: number): Promise<string> {
  const to = ["--orig-dst", magicIps.IPv4, "--orig-port-dst", String(port)];
  return (await scene.node.in("node", ["conntrack", "-L", "-p", "tcp", ...to])).stdout;
}

async function listRuleset(): Promise<string> {
  return (await scene.node.in("node", ["nft", "list", "ruleset"])).stdout;
}
