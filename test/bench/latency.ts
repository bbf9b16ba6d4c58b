import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execPath } from "node:process";
import { createInterface, type Interface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Cluster, ClusterNode, Execution } from "../cluster/cluster.ts";
import { step } from "../support/progress.ts";
import { AgentLog } from "./agent-log.ts";
import { bundleAgent, removeRules, startAgent } from "./agent-process.ts";
import { FakeNode } from "./fake-node.ts";
import { atMost, type Figure, percentile, withoutAim } from "./figure.ts";
import { addPods, firstNode, podOf, type RealPod, removePods } from "./real-pods.ts";

const program = fileURLToPath(new URL("../clients/first.mjs", import.meta.url));
const namespace = "magic-ip-bench-latency";
const magicIp = "169.254.210.218";

/** Milliseconds of one change, since the request that made the pod ready was sent. */
interface Change {
  /** The API server has answered that the pod is ready. */
  ready: number;
  /** The agent has logged the commit, which is right after it. */
  committed: number;
  /** A new connection was answered by the new pod. */
  through: number;
}

/**
 * From a pod's readiness in the API to the first connection that it answers. The pods are objects without a kubelet, with
 * the IPs of two real pods in turns, so that the moment of readiness is known and is nobody's but the API server's.
 */
export async function latency(cluster: Cluster, times: number): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "magic-ip-bench-"));
  try {
    await bundleAgent(directory);
    await step("start a client and two targets", () =>
      addPods(cluster, namespace, [{ name: "one" }, { name: "other" }]),
    );
    const real = await Promise.all(["one", "other"].map((app) => podOf(cluster, namespace, app)));
    const { name } = await podOf(cluster, namespace, "client");
    const client = await FirstCaller.start(firstNode(cluster), name, join(directory, "first.sock"));
    // Not before: pods of a DaemonSet would never start on it.
    const fake = await FakeNode.create(cluster, "bench-changes");
    try {
      return figures(await withAgent(cluster, directory, { fake, client, real }, times));
    } finally {
      await client.end();
      await fake.remove();
    }
  } finally {
    await removePods(cluster, namespace);
    await removeRules(cluster);
    await rm(directory, { recursive: true });
  }
}

interface Players {
  fake: FakeNode;
  client: FirstCaller;
  real: RealPod[];
}

async function withAgent(
  cluster: Cluster,
  directory: string,
  players: Players,
  times: number,
): Promise<Change[]> {
  const { fake } = players;
  const ports = [{ port: 80, targetPort: 8080 }];
  const addresses = [{ ipAddress: magicIp, namespace: fake.namespace, selector: "app=bench", ports }];
  const agent = await startAgent(cluster, directory, fake.name, addresses);
  const log = new AgentLog(agent.process);
  try {
    return await step(`make ${times} pods ready`, async (note) => {
      const changes: Change[] = [];
      for (let count = 0; count <= times; count++) {
        const change = await makeReady(players, log, count);
        // The first one waits for the agent's start.
        if (count > 0) changes.push(change);
        note(`${count} of ${times}`);
      }
      return changes;
    });
  } finally {
    agent.process.kill();
    await agent.process;
  }
}

/** As with a DaemonSet without maxSurge: the old pod goes, the new one is there, runs and has an IP, and is ready at last. */
async function makeReady({ fake, client, real }: Players, log: AgentLog, count: number): Promise<Change> {
  const { ip, uid } = real[count % real.length] as RealPod;
  const name = `target-${count}`;
  if (count > 0) await fake.deletePod(`target-${count - 1}`);
  await fake.createPod(name, { app: "bench" });
  await fake.setIp(name, ip, false);
  // Not in step with the agent's own timers.
  await delay(100 + Math.random() * 200);
  const first = client.first(uid);
  const asked = now();
  await fake.setIp(name, ip);
  const ready = now() - asked;
  const through = (await first) - asked;
  const committed = (await log.committedPod(`${fake.namespace}/${name}`)) - asked;
  return { ready, committed, through };
}

function figures(changes: Change[]): Figure[] {
  const since = (of: "committed" | "through") => changes.map((change) => change[of] - change.ready);
  const at = (values: number[], share: number) => percentile(values, share);
  const both = (values: number[]) =>
    `p50 ${at(values, 0.5).toFixed(1)} ms, p99 ${at(values, 0.99).toFixed(1)} ms`;
  const through = since("through");
  const from = `${changes.length} changes: the API server has answered that the pod is ready → answer of the pod; max ${Math.max(...through).toFixed(1)} ms`;
  const sent = changes.map((change) => change.through);
  return [
    atMost("readiness → first answer, p50", at(through, 0.5), "ms", 20, from),
    atMost("readiness → first answer, p99", at(through, 0.99), "ms", 100, "the same"),
    withoutAim("  of it until the commit", both(since("committed")), "as the agent's log has it"),
    withoutAim(
      "  with the API server's write",
      both(sent),
      "since the request that makes the pod ready was sent",
    ),
  ];
}

/** A client in a pod that waits for the first answer of one target. */
class FirstCaller {
  private constructor(
    readonly server: Server,
    readonly process: Execution,
    readonly socket: Socket,
    readonly lines: Interface,
  ) {}

  static async start(node: ClusterNode, pod: string, path: string): Promise<FirstCaller> {
    // A socket in the file system leads out of the pod's network.
    const server = createServer().listen(path);
    const process = node.podExec(namespace, pod, [execPath, program, path], { reject: false });
    const [socket] = (await once(server, "connection")) as [Socket];
    return new FirstCaller(server, process, socket, createInterface({ input: socket }));
  }

  /** When that pod has answered a new connection, in milliseconds since 1970. */
  async first(uid: string): Promise<number> {
    const answer = once(this.lines, "line");
    this.socket.write(`${JSON.stringify({ address: magicIp, port: 80, uid })}\n`);
    const { at, error } = JSON.parse(String((await answer)[0])) as { at: number; error?: string };
    if (error !== undefined) throw new Error(`${uid} did not answer through the magic IP: ${error}`);
    return at;
  }

  async end(): Promise<void> {
    this.socket.destroy();
    this.server.close();
    await this.process;
  }
}

/** Milliseconds since 1970, finer than Date.now(). */
function now(): number {
  return performance.timeOrigin + performance.now();
}
