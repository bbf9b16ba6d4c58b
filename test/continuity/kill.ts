import { magicIp, pause, ready, type Stage, takes } from "./stage.ts";

/** What the kills did. */
export interface KillReport {
  kills: number;
  /** Rules that were those of neither target. */
  neither: string[];
  /** Calls that failed although each of the pods serves all the time. */
  failed: string[];
}

/**
 * Kills the agent (SIGKILL) at a random moment around a change of its target, again and again, while a client calls. Both
 * pods serve all the time, so that no call may fail. Each time the table has to be that of the one or of the other.
 */
export async function killAtRandom(
  stage: Stage,
  { times, a, b, random = Math.random }: { times: number; a: string; b: string; random?: () => number },
): Promise<KillReport> {
  await stage.clearPods();
  await stage.addPod("a", { ips: [a] });
  await pause(1_000); // the newest of two is the one of a later second
  await stage.addPod("b", { ips: [b] });
  let agent = await stage.startAgent();
  await ready(agent);
  const known = { a: "", b: shapeOf(await stage.rules()) };
  await stage.setPod("b", { ready: false });
  await takes("the other state", 5, async () => (known.a = shapeOf(await stage.rules())) !== known.b);
  const calls = stage.node.callAll("client", "tcp", magicIp, 80, 10);
  await calls.next(({ error }) => error === undefined);
  const report: KillReport = { kills: 0, neither: [], failed: [] };
  while (report.kills < times) {
    await stage.setPod("b", { ready: report.kills % 2 === 0 });
    // A sync takes some 20 ms from the event to the end of the commit; the start of an agent some 150 ms to its first.
    await pause(random() * 60);
    await agent.stop("SIGKILL");
    report.kills++;
    const shape = shapeOf(await stage.rules());
    if (shape !== known.a && shape !== known.b) report.neither.push(await stage.rules());
    stage.agents.delete(agent);
    agent = await stage.startAgent();
    await pause(100 + random() * 150);
  }
  await ready(agent);
  const answers = await calls.end();
  report.failed = answers
    .filter(({ error }) => error !== undefined)
    .map(({ error, at }) => `${error} at ${at}`);
  return report;
}

/** The rules without what they counted. */
function shapeOf(rules: string): string {
  return rules.replaceAll(/\bcounter( packets \d+ bytes \d+)?/g, "").replaceAll(/\s+/g, " ");
}
