import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Cluster } from "../cluster/cluster.ts";
import { PodEvents } from "../cluster/pod-events.ts";
import { step } from "../support/progress.ts";
import { AgentLog } from "./agent-log.ts";
import { bundleAgent, removeRules, startAgent } from "./agent-process.ts";
import { type Figure, median, ratioAtMost, withoutAim } from "./figure.ts";
import { type LoadReport, startLoad } from "./load.ts";
import { addPods, firstNode, localService, podOf, type RealPod, removePods } from "./real-pods.ts";

const namespace = "magic-ip-bench-outage";
const magicIp = "169.254.210.216";

/** Milliseconds between two connections to each of the two places. */
const every = 5;

/** One deletion: which pod came for which, and when the new one was ready in the API. */
interface Replacement {
  old: RealPod;
  uid: string;
  /** Milliseconds since 1970. */
  deleted: number;
  ready: number;
}

/** Milliseconds without answers, and what of it comes after the pod's readiness. */
interface Outage {
  whole: number;
  afterReady: number;
}

/**
 * How long nobody answers when the target is deleted and its DaemonSet makes a new one, beside a Service of kube-proxy
 * with `internalTrafficPolicy: Local` to the same pods at the same time.
 */
export async function outage(cluster: Cluster, times: number): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "magic-ip-bench-"));
  const service = localService(namespace, 8080);
  try {
    await bundleAgent(directory);
    await step("start a client and a target", () => addPods(cluster, namespace, [{}], [service]));
    return await withAgent(cluster, directory, times);
  } finally {
    await removePods(cluster, namespace);
    await removeRules(cluster);
    await rm(directory, { recursive: true });
  }
}

async function withAgent(cluster: Cluster, directory: string, times: number): Promise<Figure[]> {
  const node = firstNode(cluster);
  const ports = [{ port: 80, targetPort: 8080 }];
  const addresses = [{ ipAddress: magicIp, namespace, selector: "app=echo", ports }];
  const agent = await startAgent(cluster, directory, node.name, addresses);
  const events = await PodEvents.watch(cluster, namespace, "app=echo");
  try {
    await new AgentLog(agent.process).committed((await podOf(cluster, namespace, "echo")).ip);
    const output = "jsonpath={.spec.clusterIP}";
    const clusterIp = await cluster.kubectl(["get", "service", "echo", "-n", namespace, "-o", output]);
    const client = { namespace, name: (await podOf(cluster, namespace, "client")).name };
    const calling = await startLoad(node, client, {
      magic: { transport: "tcp", address: magicIp, port: 80, every },
      service: { transport: "tcp", address: clusterIp.trim(), port: 80, every },
    });
    const replacements = await step(`delete a target ${times} times`, (note) =>
      deleteTargets(cluster, events, times, note),
    );
    const { magic, service } = await calling.end();
    return figures(replacements, magic, service, cluster.options.proxyMode);
  } finally {
    events.stop();
    agent.process.kill();
    await agent.process;
  }
}

async function deleteTargets(
  cluster: Cluster,
  events: PodEvents,
  times: number,
  note: (text: string) => void,
): Promise<Replacement[]> {
  const replacements: Replacement[] = [];
  for (let count = 1; count <= times; count++) {
    const old = await podOf(cluster, namespace, "echo");
    const deleted = Date.now();
    await cluster.kubectl(["delete", "pod", "-n", namespace, old.name, "--wait=false"]);
    const { uid, at } = await events.nextReady(firstNode(cluster).name, old.uid);
    replacements.push({ old, uid, deleted, ready: at });
    // kube-proxy gathers changes for a second.
    await delay(2_500);
    note(`${count} of ${times}`);
  }
  return replacements;
}

function figures(
  replacements: Replacement[],
  magic: LoadReport,
  service: LoadReport,
  proxyMode: string,
): Figure[] {
  const [ours, theirs] = [outages(replacements, magic), outages(replacements, service)];
  const whole = (all: Outage[]) => median(all.map((one) => one.whole));
  const after = (all: Outage[]) => median(all.map(({ afterReady }) => afterReady));
  const text = (all: Outage[]) => `${Math.round(whole(all))} ms`;
  const longest = (all: Outage[]) => Math.round(Math.max(...all.map((one) => one.whole)));
  const from = `÷ Service of kube-proxy ${proxyMode} with internalTrafficPolicy Local: ${text(ours)} and ${text(theirs)}, medians of ${ours.length}; longest ${longest(ours)} and ${longest(theirs)} ms`;
  const start = median(replacements.map(({ deleted, ready }) => ready - deleted));
  return [
    ratioAtMost("outage of a deleted target", whole(ours) / whole(theirs), 1, from),
    withoutAim("  the pod's own start", `${Math.round(start)} ms`, "deletion → new pod ready in the API"),
    withoutAim(
      "  readiness → first answer",
      `${Math.round(after(ours))} ms`,
      `through the Service ${Math.round(after(theirs))} ms; a connection every ${every} ms`,
    ),
  ];
}

/** From the last answer of the old pod to the first one of the new. */
function outages(replacements: Replacement[], { runs }: LoadReport): Outage[] {
  return replacements.map(({ old, uid, ready }) => {
    const last = runs.findLast((run) => run.uid === old.uid)?.last;
    const first = runs.find((run) => run.uid === uid)?.first;
    if (last === undefined || first === undefined)
      throw new Error(`the load did not see ${old.name} and the pod after it`);
    return { whole: first - last, afterReady: first - ready };
  });
}
