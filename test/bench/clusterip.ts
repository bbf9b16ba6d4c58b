import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Cluster, ClusterNode } from "../cluster/cluster.ts";
import { step } from "../support/progress.ts";
import { AgentLog } from "./agent-log.ts";
import { bundleAgent, removeRules, startAgent } from "./agent-process.ts";
import { type Figure, median, ratioAtMost, withoutAim } from "./figure.ts";
import { addPods, firstNode, localService, podOf, removePods } from "./real-pods.ts";

const connects = fileURLToPath(new URL("../clients/connects.mjs", import.meta.url));
const namespace = "magic-ip-bench-clusterip";
const magicIp = "169.254.210.210";
/** Where the target listens; two, because connections to one would share conntrack's entries. */
const ports = { magic: 9002, service: 9003 };
const count = 3_000;

/** A connection through the magic IP beside one through kube-proxy's ClusterIP, from one pod to one pod. */
export async function clusterip(cluster: Cluster): Promise<Figure[]> {
  const node = firstNode(cluster);
  const directory = await mkdtemp(join(tmpdir(), "magic-ip-bench-"));
  try {
    await bundleAgent(directory);
    await step("start a client and a target", () =>
      addPods(cluster, namespace, [{}], [localService(namespace, ports.service)]),
    );
    return await withAgent(cluster, directory, node);
  } finally {
    await removePods(cluster, namespace);
    await removeRules(cluster);
    await rm(directory, { recursive: true });
  }
}

async function withAgent(cluster: Cluster, directory: string, node: ClusterNode): Promise<Figure[]> {
  const addresses = [
    { ipAddress: magicIp, namespace, selector: "app=echo", ports: [{ port: 80, targetPort: ports.magic }] },
  ];
  const target = await podOf(cluster, namespace, "echo");
  const client = await podOf(cluster, namespace, "client");
  const serving = Object.values(ports).map(String);
  const argv = [process.execPath, connects, "serve", ...serving];
  const server = node.podExec(namespace, target.name, argv, { reject: false });
  const serves = once(server.stdout as NodeJS.ReadableStream, "data");
  const agent = await startAgent(cluster, directory, node.name, addresses);
  try {
    await serves;
    await new AgentLog(agent.process).committed(target.ip);
    return await compare(cluster, node, client.name);
  } finally {
    agent.process.kill();
    server.kill();
    await agent.process;
  }
}

async function compare(cluster: Cluster, node: ClusterNode, client: string): Promise<Figure[]> {
  const output = "jsonpath={.spec.clusterIP}";
  const clusterIp = await cluster.kubectl(["get", "service", "echo", "-n", namespace, "-o", output]);
  const places = { magic: { address: magicIp, port: 80 }, service: { address: clusterIp.trim(), port: 80 } };
  const argv = [process.execPath, connects, "times", JSON.stringify({ places, count })];
  const { stdout } = await step(`connect ${2 * count} times`, () => node.podExec(namespace, client, argv));
  const { magic, service } = JSON.parse(String(stdout)) as { magic: number[]; service: number[] };
  const microseconds = (values: number[]) => `${Math.round(median(values) * 1000)} µs`;
  const from = `÷ ClusterIP of kube-proxy ${cluster.options.proxyMode}: ${microseconds(magic)} and ${microseconds(service)}, medians of ${count} each, in turns`;
  const pairs = median(magic.map((time, index) => time - (service[index] ?? 0)));
  return [
    ratioAtMost("first connection", median(magic) / median(service), 1.05, from),
    withoutAim("  difference", `${(pairs * 1000).toFixed(1)} µs`, "median of the pairs' differences"),
  ];
}
