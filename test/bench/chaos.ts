import { chaos as play } from "../continuity/chaos.ts";
import { Stage } from "../continuity/stage.ts";
import { say, step } from "../support/progress.ts";
import { atMost, type Figure, ratioAtMost } from "./figure.ts";

/** Random trouble of every kind: what it costs the node and the agent in the long run. SEED repeats a run. */
export async function chaos(minutes: number): Promise<Figure[]> {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
  const stage = await Stage.create();
  try {
    await stage.node.addPod("client");
    const report = await step(`make trouble for ${minutes} minutes (SEED=${seed})`, () =>
      play(stage, minutes * 60, seed),
    );
    for (const line of [...report.strays, ...report.unexplained]) say(line);
    const { first, last } = report;
    const count = Object.values(report.troubles).reduce((sum, times) => sum + times, 0);
    const from = `${count} troubles in ${minutes} minutes, SEED=${seed}`;
    const grown = (what: keyof typeof first) =>
      ratioAtMost(`${what}, last ÷ first`, last[what] / first[what], 1.1, from);
    return [
      atMost("packets to a wrong pod", report.strays.length, "", 0, from),
      atMost("failures without a cause", report.unexplained.length, "", 0, from),
      ...(["rules", "descriptors", "megabytes"] as const).map(grown),
    ];
  } finally {
    await stage.remove();
  }
}
