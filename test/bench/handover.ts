import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Cluster } from "../cluster/cluster.ts";
import { step } from "../support/progress.ts";
import { AgentLog } from "./agent-log.ts";
import { bundleAgent, removeRules, startAgent } from "./agent-process.ts";
import { atMost, type Figure, withoutAim } from "./figure.ts";
import { failuresText, type LoadReport, silence, startLoad } from "./load.ts";
import { addPods, firstNode, podOf, removePods, roll } from "./real-pods.ts";

const namespace = "magic-ip-bench-handover";
const magicIp = "169.254.210.217";

/** Seconds that the old pod goes on serving after it is told to stop. */
const drainSeconds = 2;

/** Every 4 ms one, so that there are 200 a second also on a busy machine; a datagram every 10 ms from one socket. */
const load = {
  tcp: { transport: "tcp" as const, address: magicIp, port: 80, every: 4 },
  udp: { transport: "udp" as const, address: magicIp, port: 80, every: 10 },
};

/**
 * What clients notice of a target that is replaced again and again: a DaemonSet with maxSurge that rolls on a real
 * kubelet, whose pods drain.
 */
export async function handover(cluster: Cluster, times: number): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "magic-ip-bench-"));
  try {
    await bundleAgent(directory);
    await step("start a client and a target", () => addPods(cluster, namespace, [{ drainSeconds }]));
    return await withAgent(cluster, directory, times);
  } finally {
    await removePods(cluster, namespace);
    await removeRules(cluster);
    await rm(directory, { recursive: true });
  }
}

async function withAgent(cluster: Cluster, directory: string, times: number): Promise<Figure[]> {
  const node = firstNode(cluster);
  const ports = ["TCP", "UDP"].map((protocol) => ({ port: 80, targetPort: 8080, protocol }));
  const addresses = [{ ipAddress: magicIp, namespace, selector: "app=echo", ports }];
  const agent = await startAgent(cluster, directory, node.name, addresses);
  try {
    const target = await podOf(cluster, namespace, "echo");
    await new AgentLog(agent.process).committed(target.ip);
    const client = { namespace, name: (await podOf(cluster, namespace, "client")).name };
    const calling = await startLoad(node, client, load);
    const started = performance.now();
    await step(`replace a target ${times} times`, async (note) => {
      for (let count = 1; count <= times; count++) {
        await roll(cluster, namespace, { drainSeconds, revision: `${count + 1}` });
        note(`${count} of ${times}`);
      }
      await delay((drainSeconds + 1) * 1000);
    });
    const seconds = (performance.now() - started) / 1000;
    const { tcp, udp } = await calling.end();
    return [...tcpFigures(tcp, times, seconds), ...udpFigures(udp)];
  } finally {
    agent.process.kill();
    await agent.process;
  }
}

function tcpFigures({ count, failed, lost, runs }: LoadReport, times: number, seconds: number): Figure[] {
  const from = `${times} maxSurge rollouts on a kubelet, ${drainSeconds} s to drain, ${count} connections, ${Math.round(count / seconds)} a second`;
  const replaced = new Set(runs.map(({ uid }) => uid)).size - 1;
  const answered = `pods that answered after the first; ${times} rollouts`;
  return [
    atMost("replaced target: failed connects", failed.length, "", 0, `${from} ${failuresText(failed)}`),
    atMost("replaced target: lost requests", lost.length, "", 0, `the same ${failuresText(lost)}`),
    withoutAim("  replacements that clients saw", `${replaced}`, answered),
  ];
}

function udpFigures({ count, failed, runs, gaps }: LoadReport): Figure[] {
  const longest = Math.max(...gaps.map(silence));
  const moves = gaps.filter(({ from, to }) => from !== to && from !== "" && to !== "");
  const whole = Math.max(...gaps.map(({ milliseconds }) => milliseconds));
  const answers = runs.reduce((sum, run) => sum + run.answers, 0);
  const from = `one socket that never stops, a datagram every ${load.udp.every} ms; where it moved to another pod ${Math.round(Math.max(...moves.map(silence)))} ms; with what the client itself waited for the processor ${Math.round(whole)} ms`;
  return [
    atMost("  UDP: longest time without answer", longest, "ms", 250, from),
    withoutAim("  UDP: datagrams without answer", `${count - answers} of ${count}`, failuresText(failed)),
  ];
}
