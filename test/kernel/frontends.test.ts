import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { pod, address } from "../agent/state.ts";
import { triedBackends } from "./backends.ts";
import { clients, dualStack, familiesOf, magicIps, Scene } from "./scene.ts";

let scene: Scene;

beforeAll(async () => {
  scene = await Scene.create([8000, 8005, 8010, 8080, 9000]);
});

afterAll(() => scene?.remove());

const transports = ["tcp", "udp"] as const;

describe.each(triedBackends)("with %s", (backendName) => {
  beforeEach(() => scene.start(backendName));

  describe.each(familiesOf(backendName))("over %s", (family) => {
    const magicIp = magicIps[family];
    const call = (client: string, transport: "tcp" | "udp", port: number, keep?: string) =>
      scene.node.call(client, transport, magicIp, port, { deadline: 500, keep });

    describe("loadBalance", () => {
      const balanced = () =>
        scene.sync([scene.old, scene.young, scene.routed], dualStack({ loadBalance: true }));

      it.each(transports)("spreads new flows of %s evenly over all ready pods", async (transport) => {
        await balanced();
        const answers = await Promise.all(
          Array.from({ length: 120 }, (_, index) => call(clients[index % 2] ?? "", transport, 80)),
        );
        expect(answers.filter(({ error }) => error !== undefined)).toEqual([]);
        const perPod = Object.groupBy(answers, ({ uid = "" }) => uid);
        expect(Object.keys(perPod).toSorted()).toEqual(["uid-old", "uid-routed", "uid-young"]);
        // A fair die gives less than 15 % of 120 throws to one of three sides once in 100,000 runs.
        for (const [uid, own] of Object.entries(perPod)) expect(own?.length, uid).toBeGreaterThanOrEqual(18);
      });

      it.each(transports)("keeps a flow of %s with the pod that it began with", async (transport) => {
        await balanced();
        const talk = async (index: number) => {
          const keep = `${backendName} ${family} ${transport} ${index}`;
          const uids = new Set<string | undefined>();
          for (let turn = 0; turn < 4; turn++)
            uids.add((await call("bridge-client", transport, 80, keep)).uid);
          return uids.size;
        };
        expect(await Promise.all(Array.from({ length: 12 }, (_, index) => talk(index)))).toEqual(
          Array(12).fill(1),
        );
      });

      it("leaves out pods that are not ready, and goes on with one", async () => {
        await scene.sync([scene.old, { ...scene.young, ready: false }], dualStack({ loadBalance: true }));
        const answers = await Promise.all(Array.from({ length: 12 }, () => call("routed-client", "tcp", 80)));
        expect(answers.map(({ uid }) => uid)).toEqual(Array(12).fill("uid-old"));
      });
    });

    describe("a range of ports", () => {
      const ports = ["TCP", "UDP"].map((protocol) => ({ port: 8000, endPort: 8010, protocol }));

      it.each(transports)("leads each port of %s to the same one of the target", async (transport) => {
        await scene.sync([scene.old], dualStack({ ports }));
        for (const client of clients)
          for (const port of [8000, 8005, 8010])
            expect(await call(client, transport, port)).toMatchObject({ uid: "uid-old", port });
      });

      it.each(transports)("ends where it ends, over %s", async (transport) => {
        await scene.sync([scene.old], dualStack({ ports }));
        for (const port of [7999, 8011])
          expect(await call("bridge-client", transport, port)).toMatchObject({ error: "ECONNREFUSED" });
      });
    });

    it("two addresses may share the IP on different ports", async () => {
      const ip = { ipAddress: magicIps.IPv4, ipv6Address: magicIps.IPv6 };
      const addresses = [
        address({ ...ip }),
        address({ ...ip, selector: "app=zipkin", ports: [{ port: 9411, targetPort: 9000 }] }),
      ];
      const zipkin = { ...scene.young, labels: { app: "zipkin" } };
      await scene.sync([scene.old, zipkin], dualStack({}, { addresses }));
      for (const client of clients) {
        expect(await call(client, "tcp", 80)).toMatchObject({ uid: "uid-old", port: 8080 });
        expect(await call(client, "tcp", 9411)).toMatchObject({ uid: "uid-young", port: 9000 });
        expect(await call(client, "udp", 9411)).toMatchObject({ error: "ECONNREFUSED" });
      }
    });

    describe("a whole IP with one port of it elsewhere", () => {
      const ip = { ipAddress: magicIps.IPv4, ipv6Address: magicIps.IPv6 };
      const special = { ...ip, selector: "app=zipkin", ports: [{ port: 9000, targetPort: 8080 }] };
      const config = dualStack({}, { addresses: [address({ ...ip, ports: undefined }), address(special)] });
      const zipkin = () => pod("young", { ips: scene.young.ips, labels: { app: "zipkin" } });

      it("leads that port there, and every other one, and pings, to the whole IP's target", async () => {
        await scene.sync([scene.old, zipkin()], config);
        await Promise.all([scene.node.sightings("old"), scene.node.sightings("young")]);
        for (const client of clients) {
          expect(await call(client, "tcp", 9000)).toMatchObject({ uid: "uid-young", port: 8080 });
          expect(await call(client, "udp", 9000)).toMatchObject({ uid: "uid-old", port: 9000 });
          expect(await call(client, "tcp", 8005)).toMatchObject({ uid: "uid-old", port: 8005 });
          expect(await scene.node.call(client, "icmp", magicIp)).not.toHaveProperty("error");
        }
        const icmp = (sighting: string) => sighting.endsWith(" icmp");
        expect((await scene.node.sightings("young")).filter(icmp)).toEqual([]);
        expect((await scene.node.sightings("old")).filter(icmp)).toHaveLength(clients.length);
      });

      it("refuses that port while it has no target, instead of leading it to the whole IP's", async () => {
        await scene.sync([scene.old], config);
        for (const client of clients) {
          expect(await call(client, "tcp", 9000)).toMatchObject({ error: "ECONNREFUSED" });
          expect(await call(client, "tcp", 8005)).toMatchObject({ uid: "uid-old" });
        }
      });
    });

    it("a whole IP without a target refuses pings, too", async () => {
      await scene.sync([], dualStack({ ports: undefined }));
      for (const client of clients) {
        const answer = await scene.node.call(client, "icmp", magicIp, 0, { deadline: 500 });
        expect(answer.error, client).toBe("ECONNREFUSED");
      }
    });

    it("each port keeps its own word for clients without a target; a port nobody owns is refused if one of them refuses", async () => {
      const ip = { ipAddress: magicIps.IPv4, ipv6Address: magicIps.IPv6, selector: "app=none" };
      const addresses = [
        address({ ...ip, ports: [{ port: 80 }], whenNoTarget: "Drop" }),
        address({ ...ip, ports: [{ port: 90 }], whenNoTarget: "Reject" }),
      ];
      await scene.sync([], dualStack({}, { addresses }));
      const errors = await Promise.all([80, 90, 91].map((port) => call("bridge-client", "tcp", port)));
      expect(errors.map(({ error }) => error)).toEqual(["ETIMEDOUT", "ECONNREFUSED", "ECONNREFUSED"]);
    });
  });
});
