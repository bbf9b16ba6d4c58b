import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { triedBackends } from "./backends.ts";
import type { Answer } from "./caller.ts";
import { clients, dualStack, familiesOf, type FamilyName, magicIps, Scene } from "./scene.ts";
import { nodeIps } from "./topology.ts";

/** An address of the network outside, for what is passed on to it. */
const passedIps = { IPv4: "169.254.210.219", IPv6: "fd00:210::219" };
const transports = ["tcp", "udp"] as const;

let scene: Scene;
/** How long clients waited for a refusal. */
const waited: number[] = [];

beforeAll(async () => {
  scene = await Scene.create();
  const ips = Object.values(passedIps);
  await scene.node.in("outside", ["ip", "-batch", "-"], {
    input: ips.map((ip) => `address add ${ip} dev lo\n`).join(""),
  });
  await scene.node.serve("outside", [80], ips);
  // The first call of a program takes it longer than the network.
  for (const ip of nodeIps) await outcomes(ip, 9, ({ error }) => error);
});

afterAll(async () => {
  const sorted = waited.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  console.log(`${sorted.length} refused calls: median ${median} ms, longest ${sorted.at(-1)} ms`);
  await scene?.remove();
});

/** What each client got over each transport. */
async function outcomes(ip: string, port: number, outcome: (answer: Answer) => unknown) {
  const cells = clients.flatMap((client) => transports.map((transport) => ({ client, transport })));
  const answers = await Promise.all(
    cells.map(async ({ client, transport }): Promise<[string, unknown]> => {
      const answer = await scene.node.call(client, transport, ip, port, { deadline: 500 });
      return [`${client} ${transport}`, outcome(answer)];
    }),
  );
  return Object.fromEntries(answers);
}

const everybody = (outcome: unknown) =>
  Object.fromEntries(
    clients.flatMap((client) => transports.map((transport) => [`${client} ${transport}`, outcome])),
  );

const refusal = ({ error, milliseconds }: Answer) => {
  waited.push(milliseconds);
  return error === "ECONNREFUSED" && milliseconds < 1_000
    ? "refused at once"
    : `${error} after ${milliseconds} ms`;
};

describe.each(triedBackends)("without a target, with %s", (backendName) => {
  beforeEach(() => scene.start(backendName));

  const withoutTarget = (whenNoTarget: string, of: Record<FamilyName, string> = magicIps) =>
    scene.sync([], dualStack({ ipAddress: of.IPv4, ipv6Address: of.IPv6, whenNoTarget }));

  describe.each(familiesOf(backendName))("over %s", (family) => {
    it("Reject tells pods and the node at once, and nothing leaves the node", async () => {
      await withoutTarget("Reject");
      const leaked = await scene.node.leaks(magicIps[family], async () =>
        expect(await outcomes(magicIps[family], 80, refusal)).toEqual(everybody("refused at once")),
      );
      expect(leaked).toBe(0);
    });

    it("Drop says nothing to anybody, and nothing leaves the node", async () => {
      await withoutTarget("Drop");
      const leaked = await scene.node.leaks(magicIps[family], async () =>
        expect(await outcomes(magicIps[family], 80, ({ error }) => error)).toEqual(everybody("ETIMEDOUT")),
      );
      expect(leaked).toBe(0);
    });

    it("Pass lets the network outside answer", async () => {
      await withoutTarget("Pass", passedIps);
      const leaked = await scene.node.leaks(passedIps[family], async () =>
        expect(await outcomes(passedIps[family], 80, ({ pod }) => pod)).toEqual(everybody("outside")),
      );
      expect(leaked).toBeGreaterThan(0);
    });

    it("a port that is not configured is refused at once, although others have a target", async () => {
      await scene.sync([scene.old]);
      const leaked = await scene.node.leaks(magicIps[family], async () =>
        expect(await outcomes(magicIps[family], 81, refusal)).toEqual(everybody("refused at once")),
      );
      expect(leaked).toBe(0);
    });

    it("clients are served as soon as there is a target, also from the socket that was refused", async () => {
      await scene.sync([]);
      const ask = (client: string) =>
        scene.node.call(client, "udp", magicIps[family], 80, {
          keep: `${backendName} ${family}`,
          deadline: 500,
        });
      expect(await Promise.all(clients.map(ask))).toMatchObject(
        clients.map(() => ({ error: "ECONNREFUSED" })),
      );
      await scene.sync([scene.old]);
      expect(await Promise.all(clients.map(ask))).toMatchObject(clients.map(() => ({ uid: "uid-old" })));
      expect(await outcomes(magicIps[family], 80, ({ uid }) => uid)).toEqual(everybody("uid-old"));
    });
  });
});
