import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Cluster } from "../cluster/cluster.ts";
import { step } from "../support/progress.ts";
import { AgentLog } from "./agent-log.ts";
import { bundleAgent, instance, removeRules, startAgent } from "./agent-process.ts";
import { atMost, type Figure, median, withoutAim } from "./figure.ts";
import { failuresText, type LoadReport, silence, startLoad } from "./load.ts";
import { addPods, firstNode, podOf, type RealPod, removePods } from "./real-pods.ts";

const namespace = "magic-ip-bench-restart";
/** That of the older layout. */
const magicIp = "169.254.210.210";

const load = {
  tcp: { transport: "tcp" as const, address: magicIp, port: 80, every: 4 },
  udp: { transport: "udp" as const, address: magicIp, port: 80, every: 10 },
};

/** What the restarts have in common. */
interface Place {
  cluster: Cluster;
  directory: string;
  target: RealPod;
}

/**
 * What clients notice of an agent that is ended and started again and again, and of an older version's table that comes
 * and goes between. Every other end is a SIGKILL.
 */
export async function restart(cluster: Cluster, times: number): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "magic-ip-bench-"));
  try {
    await bundleAgent(directory);
    await step("start a client and a target", () => addPods(cluster, namespace, [{}]));
    const target = await podOf(cluster, namespace, "echo");
    return await underLoad({ cluster, directory, target }, times);
  } finally {
    await removePods(cluster, namespace);
    await removeRules(cluster);
    await rm(directory, { recursive: true });
  }
}

async function underLoad(place: Place, times: number): Promise<Figure[]> {
  const { cluster } = place;
  const client = { namespace, name: (await podOf(cluster, namespace, "client")).name };
  await runAgent(place, "SIGTERM");
  const calling = await startLoad(firstNode(cluster), client, load);
  const starts: number[] = [];
  await step(`restart the agent ${times} times`, async (note) => {
    for (let count = 1; count <= times; count++) {
      starts.push(await runAgent(place, count % 2 === 0 ? "SIGTERM" : "SIGKILL"));
      note(`${count} of ${times}`);
    }
  });
  const restarted = await calling.end();
  const again = await startLoad(firstNode(cluster), client, load);
  await step(`upgrade and downgrade the table ${times} times`, async (note) => {
    for (let count = 1; count <= times; count++) {
      await downgrade(place);
      await delay(100);
      await runAgent(place, "SIGTERM");
      note(`${count} of ${times}`);
    }
  });
  const changed = await again.end();
  const start = `${times} restarts, every other one after a SIGKILL; start → first commit ${Math.round(median(starts))} ms`;
  return [
    ...figures("agent restarted", restarted, start),
    ...figures("table up- and downgraded", changed, `${times} times between 0.1.0's layout and today's`),
  ];
}

/** Starts the agent, and ends it when its rules are in the kernel. Returns the milliseconds until they were. */
async function runAgent({ cluster, directory, target }: Place, end: NodeJS.Signals): Promise<number> {
  const ports = ["TCP", "UDP"].map((protocol) => ({ port: 80, targetPort: 8080, protocol }));
  const addresses = [{ ipAddress: magicIp, namespace, selector: "app=echo", ports }];
  const started = Date.now();
  const agent = await startAgent(cluster, directory, firstNode(cluster).name, addresses);
  try {
    const committed = await new AgentLog(agent.process).committed(target.ip);
    // At any moment of what comes after the commit: flows, inspections, monitors.
    await delay(Math.random() * 200);
    return committed - started;
  } finally {
    agent.process.kill(end);
    await agent.process;
  }
}

/** What an agent of version 0.1.0 does when it starts: it replaces whatever is there. */
async function downgrade({ cluster, target }: Place): Promise<void> {
  const layout = readFileSync(new URL("../kernel/layouts/0.1.0.nft", import.meta.url), "utf8");
  const input = layout
    .replaceAll("TARGET", target.ip)
    .replaceAll("magic-ip-test.echo", `magic-ip-${instance}`);
  await firstNode(cluster).exec(["nft", "-f", "-"], { input });
}

function figures(name: string, { tcp, udp }: Record<"tcp" | "udp", LoadReport>, from: string): Figure[] {
  const connections = `${from}; ${tcp.count} connections ${failuresText([...tcp.failed, ...tcp.lost])}`;
  const answers = udp.runs.reduce((sum, run) => sum + run.answers, 0);
  const lost = `${udp.count - answers} of ${udp.count} datagrams of one socket without answer ${failuresText(udp.failed)}`;
  return [
    atMost(`${name}: failed connects`, tcp.failed.length + tcp.lost.length, "", 0, connections),
    withoutAim("  UDP: longest silence", `${Math.round(Math.max(...udp.gaps.map(silence)))} ms`, lost),
  ];
}
