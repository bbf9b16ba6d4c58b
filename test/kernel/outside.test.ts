import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { triedBackends } from "./backends.ts";
import { clients, dualStack, familiesOf, type FamilyName, ipOf, magicIps, Scene } from "./scene.ts";
import { outsideIps } from "./topology.ts";

/** What an outside host may claim to be: a pod, a node's neighbour, somebody far away, or the magic IP itself. */
const spoofed: Record<FamilyName, string[]> = {
  IPv4: ["10.9.0.77", "192.0.2.77", "203.0.113.7", "169.254.210.77"],
  IPv6: ["fd00:9::77", "fd00:2::77", "2001:db8:7::7", "fd00:210::77"],
};

let scene: Scene;

beforeAll(async () => {
  scene = await Scene.create();
  const lines = Object.values(spoofed)
    .flat()
    .map((ip) => `address add ${ip} dev lo\n`);
  await scene.node.in("outside", ["ip", "-batch", "-"], { input: lines.join("") });
  await scene.node.serve("outside", [80], outsideIps);
});

afterAll(() => scene?.remove());

/** Packets from outside that were dropped, of all bindings of the family. */
async function dropped(family: FamilyName): Promise<number> {
  const counts = (await scene.backend.counts()).filter(({ binding }) => binding.includes(magicIps[family]));
  return counts.reduce((sum, { outside }) => sum + outside.packets, 0);
}

describe.each(triedBackends)("with %s", (backendName) => {
  beforeEach(async () => {
    await scene.start(backendName);
    await Promise.all([scene.node.sightings("old"), scene.node.sightings("young")]);
  });

  describe.each(familiesOf(backendName))(
    "an outside host that routes the magic IP to the node over %s",
    (family) => {
      const call = (transport: "tcp" | "udp", source?: string) =>
        scene.node.call("outside", transport, magicIps[family], 80, { deadline: 100, source });

      it("reaches nobody whatever source it claims, and is counted", async () => {
        await scene.sync([scene.old]);
        const sources = [undefined, ...spoofed[family]];
        const calls = sources.flatMap((source) => [call("tcp", source), call("udp", source)]);
        expect((await Promise.all(calls)).map(({ error }) => error)).toEqual(calls.map(() => "ETIMEDOUT"));
        expect(await scene.node.sightings("old")).toEqual([]);
        expect(await dropped(family)).toBeGreaterThanOrEqual(calls.length);
      });

      it("is counted for the binding that it tried, and clients are not", async () => {
        await scene.sync([scene.old]);
        await call("udp");
        await scene.node.call("bridge-client", "tcp", magicIps[family], 80);
        const counts = (await scene.backend.counts()).filter(({ binding }) =>
          binding.includes(magicIps[family]),
        );
        const packets = counts.map(({ binding, outside, traffic }) => [
          binding,
          outside.packets,
          traffic.packets > 0,
        ]);
        const host = family === "IPv4" ? magicIps.IPv4 : `[${magicIps.IPv6}]`;
        expect(packets).toEqual([
          [`${host}:80/tcp`, 0, true],
          [`${host}:80/udp`, 1, false],
        ]);
      });

      it("learns nothing of an address without a target", async () => {
        await scene.sync([]);
        expect(await call("tcp")).toMatchObject({ error: "ETIMEDOUT" });
        expect(await call("udp")).toMatchObject({ error: "ETIMEDOUT" });
      });

      it("learns nothing of a port that is not configured", async () => {
        await scene.sync([scene.old]);
        const { error } = await scene.node.call("outside", "tcp", magicIps[family], 81, { deadline: 100 });
        expect(error).toBe("ETIMEDOUT");
      });

      it("gets in where outsideGuard is off", async () => {
        await scene.sync([scene.old], dualStack({}, { outsideGuard: false }));
        const seen = { uid: "uid-old", client: ipOf(outsideIps, family) };
        expect(await call("tcp")).toMatchObject(seen);
        expect(await call("udp")).toMatchObject(seen);
      });

      it("gets answers to what clients of the node ask it, on the same port as the magic IP's", async () => {
        await scene.sync([scene.old]);
        for (const client of clients) {
          const answer = await scene.node.call(client, "tcp", ipOf(outsideIps, family), 80);
          expect(answer).toMatchObject({ pod: "outside" });
        }
      });
    },
  );

  describe.each(familiesOf(backendName))("hostClients: false over %s", (family) => {
    it("serves pods and refuses the node's own processes, whose packets do not leave it", async () => {
      await scene.sync([scene.old], dualStack({}, { hostClients: false }));
      const leaked = await scene.node.leaks(magicIps[family], async () => {
        for (const transport of ["tcp", "udp"] as const) {
          const [bridge, routed, host] = await Promise.all(
            clients.map((client) =>
              scene.node.call(client, transport, magicIps[family], 80, { deadline: 500 }),
            ),
          );
          expect([bridge?.uid, routed?.uid]).toEqual(["uid-old", "uid-old"]);
          expect(host?.error).toBe("ECONNREFUSED");
        }
      });
      expect(leaked).toBe(0);
    });
  });
});

describe("with nftables", () => {
  it("an interface that carries no default route but is no pod's is outside too", async () => {
    await scene.start("nftables");
    await scene.sync([scene.old]);
    const ip = (name: string, lines: string[]) =>
      scene.node.in(name, ["ip", "-batch", "-"], { input: `${lines.join("\n")}\n` });
    await ip("node", [
      "link add link uplink name second type macvlan mode bridge",
      "address add 198.51.100.10/24 dev second",
      "link set second up",
    ]);
    await ip("outside", [
      "address add 198.51.100.1/24 dev uplink",
      "route replace 169.254.210.0/24 via 198.51.100.10",
    ]);
    await scene.node.sightings("old");
    expect(await scene.node.call("outside", "tcp", "198.51.100.10", 9)).toMatchObject({
      error: "ECONNREFUSED",
    });
    const answer = await scene.node.call("outside", "tcp", magicIps.IPv4, 80, { deadline: 100 });
    expect(answer).toMatchObject({ error: "ETIMEDOUT" });
    expect(await scene.node.sightings("old")).toEqual([]);
    expect(await dropped("IPv4")).toBeGreaterThan(0);
  });
});
