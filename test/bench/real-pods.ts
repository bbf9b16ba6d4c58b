import type { Cluster, ClusterNode } from "../cluster/cluster.ts";
import {
  clientDaemonSet,
  echoDaemonSet,
  type EchoOptions,
  type Manifest,
  programs,
} from "../cluster/workloads.ts";
import { BASE_IMAGE } from "../support/rootfs.ts";

/** A pod that a kubelet runs. */
export interface RealPod {
  name: string;
  ip: string;
  uid: string;
}

/** What a benchmark wants of its own DaemonSet of targets. */
export type EchoSettings = Partial<Omit<EchoOptions, "namespace" | "image">>;

export function firstNode({ nodes }: Cluster): ClusterNode {
  const [node] = nodes;
  if (node === undefined) throw new Error("the cluster has no node");
  return node;
}

/** A namespace with a client and these DaemonSets of targets; all of them are ready when this returns. */
export async function addPods(
  cluster: Cluster,
  namespace: string,
  echoes: EchoSettings[],
  more: Manifest[] = [],
): Promise<void> {
  await removePods(cluster, namespace);
  const targets = echoes.map((settings) => echo(namespace, settings));
  await apply(cluster, [...programs(namespace), clientDaemonSet(namespace, BASE_IMAGE), ...targets, ...more]);
  const names = echoes.map(({ name = "echo" }) => name);
  for (const name of ["client", ...names]) await rolledOut(cluster, namespace, name);
}

/** A Service of kube-proxy that leads to the targets of the client's own node, as a magic IP does. */
export function localService(namespace: string, targetPort: number): Manifest {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "echo", namespace },
    spec: { selector: { app: "echo" }, internalTrafficPolicy: "Local", ports: [{ port: 80, targetPort }] },
  };
}

/** Replaces the DaemonSet's pods, as its update strategy says, when anything of their template changed. */
export async function roll(cluster: Cluster, namespace: string, settings: EchoSettings): Promise<void> {
  await apply(cluster, [echo(namespace, settings)]);
  await rolledOut(cluster, namespace, settings.name ?? "echo");
}

export async function removePods(cluster: Cluster, namespace: string): Promise<void> {
  await cluster.kubectl(["delete", "namespace", namespace, "--ignore-not-found"]);
}

/** The pod of that app that stays. The cluster of the benchmarks has one node. */
export async function podOf(cluster: Cluster, namespace: string, app: string): Promise<RealPod> {
  const json = await cluster.kubectl(["get", "pods", "-n", namespace, "-l", `app=${app}`, "-o", "json"]);
  const { items } = JSON.parse(json) as { items: PodItem[] };
  const found = items.find(({ metadata }) => metadata.deletionTimestamp === undefined);
  if (found === undefined) throw new Error(`no pod of ${app} runs in ${namespace}`);
  return { name: found.metadata.name, uid: found.metadata.uid, ip: found.status.podIP ?? "" };
}

interface PodItem {
  metadata: { name: string; uid: string; deletionTimestamp?: string };
  status: { podIP?: string };
}

function echo(namespace: string, settings: EchoSettings): Manifest {
  return echoDaemonSet({ name: "echo", ...settings, namespace, image: BASE_IMAGE });
}

async function apply(cluster: Cluster, items: Manifest[]): Promise<void> {
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  await cluster.kubectl(["apply", "-f", "-"], { input });
}

async function rolledOut(cluster: Cluster, namespace: string, name: string): Promise<void> {
  await cluster.kubectl(["rollout", "status", "-n", namespace, `daemonset/${name}`, "--timeout=120s"]);
}
