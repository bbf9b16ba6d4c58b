import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Lab, type Outcome } from "../bench/replace.ts";

let lab: Lab;

beforeAll(async () => {
  lab = await Lab.create();
});

afterAll(() => lab?.remove());

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
});
