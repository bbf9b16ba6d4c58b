import { Stage } from "../../continuity/stage.ts";
import { step } from "../../support/progress.ts";
import { atMost, type Figure } from "../figure.ts";
import { type Attack, attacks } from "./attacks.ts";
import { chartMemoryLimit, Container } from "./container.ts";
import { type Observed, observe, type Scene, spread, startAgent } from "./scene.ts";

/**
 * Milliseconds. A move may take longer than the promised 250 ms while others burn both of two cores; one that falls into a
 * restart waits until the pods are listed anew. The kubelet gives `/readyz` 2 s, of which a SYN that a full backlog loses
 * takes one.
 */
const aims = { stall: 1_000, restart: 5_000, probe: 1_500 };

/**
 * What others on a node, or in the cluster, can multiply, at sizes that ended an agent of 0.1.0: each attack with a fresh
 * agent in a container of its own, with the chart's memory limit.
 */
export async function hostile(): Promise<Figure[]> {
  const { ONLY = "" } = process.env;
  const wanted = attacks.filter(({ name }) => name.includes(ONLY));
  const { stage, a, b } = await step("hostile: make a node and an API server", () => Stage.serving());
  const figures: Figure[] = [];
  try {
    for (const attack of wanted) {
      const own = await step(`hostile: ${attack.name}`, () => run(attack, stage, { a, b }));
      figures.push(...own);
    }
  } finally {
    await stage.remove();
  }
  return figures;
}

async function run(attack: Attack, stage: Stage, pods: { a: string; b: string }): Promise<Figure[]> {
  const container = new Container(attack.name.replace(/\W+/g, "-"), chartMemoryLimit());
  try {
    await stage.clear();
    await stage.addPod("b", { ips: [pods.b], ready: false });
    await stage.addPod("a", { ips: [pods.a] });
    await attack.prepare?.(stage);
    const scene: Scene = { stage, container, ...pods, agent: await startAgent(stage, container) };
    const observed = await observe(scene, () => attack.act(scene));
    return figuresOf(attack, scene, observed);
  } finally {
    await stage.clear();
    await container.remove();
  }
}

function figuresOf(
  { name }: Attack,
  { container, agent }: Scene,
  { stalls, restarts, probes }: Observed,
): Figure[] {
  const megabytes = (bytes: number) => bytes / 2 ** 20;
  const end = agent.running ? "" : "; the agent's process has ended";
  const limit = megabytes(container.limit);
  const memory = `${container.kills} processes ended by the kernel for memory, the limit is ${limit} MiB${end}`;
  const longest = (what: string, times: number[], aim: number) =>
    atMost(`hostile, ${name}: ${what}`, Math.max(...times), "ms", aim, spread(times));
  return [
    atMost(`hostile, ${name}: peak memory`, megabytes(container.peak), "MiB", limit * 0.9, memory),
    atMost(`hostile, ${name}: ended for memory`, container.kills + (agent.running ? 0 : 1), "", 0, memory),
    longest("longest stall of a move", stalls, aims.stall),
    ...(restarts.length === 0 ? [] : [longest("longest stall in the restart", restarts, aims.restart)]),
    longest("/readyz", probes, aims.probe),
  ];
}
