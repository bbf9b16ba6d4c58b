import type { Cluster } from "./cluster.ts";
import { ctr } from "./containerd.ts";

/** A pod of an agent, as the API server has it. */
export interface AgentPod {
  name: string;
  uid: string;
  node: string;
  /** The configuration that it carries. */
  config: string;
  /** How often its container has been started again. */
  starts: number;
  ready: boolean;
  /** Why its container does not run, in the kubelet's word. */
  waiting: string | undefined;
}

interface PodObject {
  metadata: { name: string; uid: string; annotations?: Record<string, string>; deletionTimestamp?: string };
  spec: { nodeName: string };
  status: {
    containerStatuses?: { restartCount: number; ready: boolean; state: { waiting?: { reason: string } } }[];
  };
}

/** The agents' pods of a release of Helm in kube-system that are not being deleted, by node. */
export async function agentPods(cluster: Cluster, release: string): Promise<AgentPod[]> {
  const selector = `app.kubernetes.io/instance=${release},app.kubernetes.io/name=magic-ip-address`;
  const list = await cluster.kubectl(["get", "pods", "-n", "kube-system", "-l", selector, "-o", "json"]);
  const { items } = JSON.parse(list) as { items: PodObject[] };
  const staying = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  return staying.map(toAgentPod).sort((a, b) => a.node.localeCompare(b.node));
}

function toAgentPod({ metadata, spec, status }: PodObject): AgentPod {
  const [container] = status.containerStatuses ?? [];
  return {
    name: metadata.name,
    uid: metadata.uid,
    node: spec.nodeName,
    config: metadata.annotations?.["magic-ip-address/config"] ?? "",
    starts: container?.restartCount ?? 0,
    ready: container?.ready ?? false,
    waiting: container?.state.waiting?.reason,
  };
}

/** Kills the kubelet and all processes of the pod, its sandbox too, and starts the kubelet again; the kernel keeps its rules. */
export async function killPod(cluster: Cluster, { node: name, uid }: AgentPod): Promise<void> {
  const node = cluster.nodes.find((each) => each.name === name);
  if (node === undefined) throw new Error(`the cluster has no node ${name}`);
  await node.stopKubelet();
  await killContainers(node.containerdSocket, uid).finally(() => node.startKubelet());
}

async function killContainers(socket: string, uid: string): Promise<void> {
  const filter = `labels."io.kubernetes.pod.uid"==${uid}`;
  const containers = (await ctr(socket, ["containers", "list", "--quiet", filter]))
    .split("\n")
    .filter(Boolean);
  // Those of earlier starts have no task any more.
  const kill = (id: string) => ctr(socket, ["tasks", "kill", "--signal", "SIGKILL", id]).catch(() => "");
  await Promise.all(containers.map(kill));
}
