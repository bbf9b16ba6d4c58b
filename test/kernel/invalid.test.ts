import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { dualStack, families, type FamilyName, magicIps, Scene } from "./scene.ts";

let scene: Scene;

beforeAll(async () => {
  scene = await Scene.create();
});

afterAll(() => scene?.remove());

/** The next segment with data that a pod sends from or to a port gets a number that is far from its place. */
async function misplaceNext(name: string, match: string): Promise<void> {
  const rules = `table inet misplaced {
    chain output {
      type filter hook output priority 0
      ${match} tcp flags & psh == psh limit rate 1/day burst 1 packets tcp sequence set 0x12345678 counter
    }
  }`;
  await scene.node.in(name, ["nft", "-f", "-"], { input: rules });
}

/** Returns how many were. */
async function misplaced(name: string): Promise<number> {
  const { stdout } = await scene.node.in(name, ["nft", "list", "table", "inet", "misplaced"]);
  await scene.node.in(name, ["nft", "delete", "table", "inet", "misplaced"]);
  return Number(/counter packets (\d+)/.exec(stdout)?.[1]);
}

let connections = 0;

/** A connection that is used, has one segment misplaced, and is used again. */
async function useAgain(client: string, family: FamilyName, sender: string, match: string): Promise<unknown> {
  const keep = `connection ${++connections}`;
  const ask = () => scene.node.call(client, "tcp", magicIps[family], 80, { keep, deadline: 10_000 });
  expect(await ask()).toMatchObject({ uid: "uid-old" });
  await misplaceNext(sender, match);
  const { uid, error } = await ask();
  expect(await misplaced(sender)).toBe(1);
  return uid ?? error;
}

/** Numbers are random: half of the segments are ahead of their place, and only those are INVALID and not merely late. */
const tries = 6;

describe.each([
  ["routed", "routed-client"],
  ["bridged", "bridge-client"],
])(
  "a healthy connection of a %s client survives a segment that conntrack calls INVALID",
  (_where, client) => {
    beforeEach(() => scene.start("nftables"));

    describe.each(families)("over %s", (family) => {
      it.each([
        ["the client's own", client, "tcp dport 80"],
        ["the target's", "old", "tcp sport 8080"],
      ])("%s", async (_whose, sender, match) => {
        await scene.sync([scene.old]);
        for (let count = 0; count < tries; count++)
          expect(await useAgain(client, family, sender, match)).toBe("uid-old");
      });
    });
  },
);

describe("what is INVALID because conntrack forgot the connection", () => {
  beforeEach(() => scene.start("nftables"));

  it.each([1, 0])("is reset, with tcp_loose=%s", async (loose) => {
    await scene.node.set({ tcpLoose: loose === 1 });
    await scene.sync([scene.old], dualStack());
    const ask = () =>
      scene.node.call("routed-client", "tcp", magicIps.IPv4, 80, { keep: `loose ${loose}`, deadline: 2_000 });
    expect(await ask()).toMatchObject({ uid: "uid-old" });
    await scene.node.in("node", ["conntrack", "-F"]);
    expect((await ask()).error).toMatch(/ECONNRESET|EPIPE/);
    await scene.node.set({ tcpLoose: true });
  });
});
