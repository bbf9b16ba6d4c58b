import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Lab, type Outcome } from "../bench/replace.ts";
import { dualStack, families, magicIps, Scene } from "./scene.ts";

let lab: Lab;
let scene: Scene;

beforeAll(async () => {
  [lab, scene] = await Promise.all([Lab.create(), Scene.create()]);
});

afterAll(() => Promise.all([lab?.remove(), scene?.remove()]));

/** With sets of intervals, one in twelve did harm. `npm run bench -- replace` does the same a thousand times. */
const times = 60;
/** Even a machine that has more to do than this. */
const least = 300;

function expectNoneHarmed({ connections, faults, unanswered }: Outcome): void {
  expect({ faults, unanswered }).toEqual({ faults: {}, unanswered: 0 });
  expect(connections).toBeGreaterThan(least);
}

describe("connections to a range of ports, to a whole IP, and to a range of one, all of them, come about", () => {
  it("while the table is replaced", async () => {
    expectNoneHarmed(await lab.replace(times));
  });

  it("while targets of ranges change", async () => {
    expectNoneHarmed(await lab.changeTargets(times));
  });

  // The last one: it leaves connections of all of the client's ports behind.
  it("while the table is replaced under a flood of SYNs", async () => {
    const { accepted, refused } = await lab.flood(times);
    expect(refused).toBe(0);
    expect(accepted).toBeGreaterThan(times * least);
  });
});

describe("a packet that finds one of a hook's two chains empty, as in the moment of a switch of generations", () => {
  const chains = ["prerouting", "output", "postrouting"].flatMap((hook) => [
    `nat-${hook}`,
    `nat-${hook}-again`,
  ]);

  describe.each(chains)("%s", (chain) => {
    it.each(families)(
      "over %s is led to the target, and to itself where a target dials itself",
      async (family) => {
        await scene.start("nftables");
        await scene.sync([scene.old], dualStack());
        await scene.node.in("node", ["nft", "flush", "chain", "inet", "magic-ip-test.echo", chain]);
        for (const caller of ["bridge-client", "node", "old"]) {
          const answer = await scene.node.call(caller, "tcp", magicIps[family], 80, { deadline: 1_000 });
          expect(answer, caller).toMatchObject({ uid: "uid-old" });
        }
      },
    );
  });
});
