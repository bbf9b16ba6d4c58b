import { killAtRandom } from "../continuity/kill.ts";
import { Stage } from "../continuity/stage.ts";
import { step } from "../support/progress.ts";
import { atMost, type Figure } from "./figure.ts";

/** SIGKILL at random moments of a sync: the table is always the old or the new state, and no connection fails. */
export async function kill(times: number): Promise<Figure[]> {
  const stage = await Stage.create();
  try {
    await stage.node.addPod("client");
    const [a, b] = [await stage.host("a"), await stage.host("b")];
    const report = await step(`kill the agent ${times} times`, () => killAtRandom(stage, { times, a, b }));
    const from = `${report.kills} kills (SIGKILL) at random moments around a change of the target`;
    return [
      atMost("tables neither old nor new", report.neither.length, "", 0, from),
      atMost("failed connects meanwhile", report.failed.length, "", 0, from),
    ];
  } finally {
    await stage.remove();
  }
}
