import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Config } from "../../agent/config/config.ts";
import { desired } from "../../agent/desired/desired.ts";
import type { Pod } from "../../agent/kubernetes/pod.ts";
import { address } from "../agent/state.ts";
import { makeBackend } from "./backends.ts";
import { clients, dualStack, families, magicIps, Scene } from "./scene.ts";

let scene: Scene;

beforeAll(async () => {
  scene = await Scene.create();
});

afterAll(() => scene?.remove());

/** What is on the same magic IP: one installation guards its port and refuses, the other does neither with its own ones. */
const guarding = dualStack({ ports: [{ port: 80, targetPort: 8080 }] }, { instance: "guarding" });
const open = dualStack(
  {},
  {
    ...{ instance: "open", outsideGuard: false },
    addresses: [
      address({
        ...{ ipAddress: magicIps.IPv4, ipv6Address: magicIps.IPv6, whenNoTarget: "Drop" },
        ports: [
          { port: 81, targetPort: 8080 },
          { port: 8080, endPort: 8089 },
        ],
      }),
    ],
  },
);

/** An agent's pass: what others have is known since the last look. */
async function pass(config: Config, pods: Pod[]): Promise<void> {
  const backend = makeBackend("nftables", scene.node.command, scene.node.tables);
  const claims = await backend.claims(config.instance);
  await backend.write(desired(config, scene.node.facts, pods, claims));
}

describe.each([
  ["first", [guarding, open]],
  ["second", [open, guarding]],
] as const)("of two installations on one magic IP, with the one that guards it there %s,", (_when, order) => {
  beforeEach(() => scene.start("nftables"));

  const passes = async (pods: Pod[]) => {
    for (const config of [...order, ...order]) await pass(config, pods);
  };

  describe.each(families)("over %s", (family) => {
    const call = (client: string, port: number) =>
      scene.node.call(client, "tcp", magicIps[family], port, { deadline: 300 });

    it("each lets in from outside what it lets in alone", async () => {
      await passes([scene.old]);
      expect(await call("outside", 80)).toMatchObject({ error: "ETIMEDOUT" });
      for (const port of [81, 8080]) expect(await call("outside", port)).toMatchObject({ uid: "uid-old" });
    });

    it("each has its own word for clients without a target", async () => {
      await passes([]);
      for (const client of clients) {
        expect(await call(client, 80)).toMatchObject({ error: "ECONNREFUSED" });
        for (const port of [81, 8085]) expect(await call(client, port)).toMatchObject({ error: "ETIMEDOUT" });
      }
    });

    it("a port that neither has is refused, and nothing leaves the node", async () => {
      await passes([]);
      const leaked = await scene.node.leaks(magicIps[family], async () => {
        for (const client of clients)
          for (const port of [82, 8090])
            expect(await call(client, port)).toMatchObject({ error: "ECONNREFUSED" });
      });
      expect(leaked).toBe(0);
    });
  });
});
