import { afterAll, beforeAll, expect, it } from "vitest";
import { isLong } from "../support/long.ts";
import { say } from "../support/progress.ts";
import { chaos, troubles } from "./chaos.ts";
import { Stage } from "./stage.ts";

const seconds = isLong ? 15 : 8;
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
let stage: Stage;

beforeAll(async () => {
  stage = await Stage.create();
  await stage.node.addPod("client");
});
afterAll(() => stage?.remove());

it(`random trouble of every kind leads nobody to a stranger, and leaves a node as it was (F58, SEED=${seed})`, async () => {
  const report = await chaos(stage, seconds, seed);
  say(
    `  trouble: ${Object.entries(report.troubles)
      .map(([kind, count]) => `${count} × ${kind}`)
      .join(", ")}`,
  );
  expect(Object.keys(report.troubles).sort()).toEqual(Object.keys(troubles).sort());
  expect(report.strays).toEqual([]);
  expect(report.unexplained).toEqual([]);
  expect(report.calls).toBeGreaterThan(10 * seconds);
  expect(report.last.rules).toBe(report.first.rules);
  expect(report.last.descriptors).toBeLessThanOrEqual(report.first.descriptors + 5);
});
