import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Cluster } from "../cluster/cluster.ts";
import { step } from "../support/progress.ts";
import { AgentLog } from "./agent-log.ts";
import { bundleAgent, removeRules, residentMegabytes, startAgent } from "./agent-process.ts";
import { FakeNode } from "./fake-node.ts";
import { atMost, type Figure } from "./figure.ts";

/** An hour's work. */
const replacements = 720;
/** Milliseconds between two that come as fast as they can, so that the agent follows each of them. */
const shortest = 100;

/**
 * What the agent's memory is after an hour's work: the real bundle, on a node of the real cluster, with a target that is
 * replaced every five seconds. With 0 minutes the hour's replacements come ten a second.
 */
export async function memory(cluster: Cluster, minutes: number): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "magic-ip-bench-"));
  const node = await FakeNode.create(cluster, "bench-memory");
  try {
    await bundleAgent(directory);
    return await measure(cluster, directory, node, Math.max(shortest, (minutes * 60_000) / replacements));
  } finally {
    await node.remove();
    await removeRules(cluster);
    await rm(directory, { recursive: true });
  }
}

async function measure(
  cluster: Cluster,
  directory: string,
  node: FakeNode,
  pause: number,
): Promise<Figure[]> {
  const { namespace, name } = node;
  const ports = [{ port: 80 }];
  const addresses = [{ ipAddress: "169.254.210.219", namespace, selector: "app=bench", ports }];
  const agent = await startAgent(cluster, directory, name, addresses);
  const log = new AgentLog(agent.process);
  try {
    await delay(3_000);
    const samples: number[] = [];
    const sample = () => samples.push(residentMegabytes(agent.process.pid));
    await step(`replace a target ${replacements} times`, async (note) => {
      for (let count = 0; count < replacements; count++) {
        if (count % (replacements / 4) === 0) sample();
        await replaceTarget(node, count);
        note(`${count + 1} of ${replacements}`);
        await delay(pause);
      }
    });
    await delay(2_000);
    sample();
    const from = `${samples.join(" → ")} MB; the agent followed ${log.targets} of ${replacements} replacements`;
    return [atMost("agent's memory after an hour's work", samples.at(-1) ?? Number.NaN, "MB", 80, from)];
  } finally {
    agent.process.kill();
    await agent.process;
  }
}

async function replaceTarget(node: FakeNode, count: number): Promise<void> {
  await node.addPod(`target-${count}`, { app: "bench" }, `10.99.${count >> 7}.${(count & 127) + 1}`);
  if (count > 0) await node.deletePod(`target-${count - 1}`);
}
