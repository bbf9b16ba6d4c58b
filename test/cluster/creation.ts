import { existsSync, mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { execa } from "execa";
import { cacheDirectory } from "../support/cache.ts";
import { ensurePackages } from "../support/debian.ts";
import { step } from "../support/progress.ts";
import { baseImage } from "../support/rootfs.ts";
import { kubectlPath } from "../support/tools.ts";
import { CLUSTER_PACKAGES, kubernetesPrograms } from "./binaries.ts";
import { ask } from "./api.ts";
import { adminKubeconfig, createAccounts, createCertificates } from "./certificates.ts";
import { snapshotterFor } from "./containerd.ts";
import { CONTROLLER_MANAGER, startControlPlane } from "./control-plane.ts";
import { startOf } from "./daemon.ts";
import { imageStore } from "./image-store.ts";
import { netnsPath, startMachine } from "./machine.ts";
import { createNetwork, otherClusters } from "./network.ts";
import { NODE_MOUNT_POINTS, nodeDaemons, startContainerd, startKubelet } from "./node.ts";
import { together, until } from "./patience.ts";
import { pauseImage } from "./pause-image.ts";
import { API_SERVICE, type ClusterOptions, type NodePlan, planControlPlane, planNodes } from "./plan.ts";
import { clusterName, dataDirectory, runDirectory, type State, updateState, writeState } from "./state.ts";

const FIRST_PORT = 26443;
const READY_SECONDS = 60;
const NODES = "/api/v1/nodes";

/** The part of a Node that says whether pods may come. */
interface Node {
  spec: { taints?: unknown[] };
  status: { conditions?: { type: string; status: string }[] };
}

/** What a cluster is made of. */
export interface Prepared {
  /** Where the Kubernetes programs are. */
  programs: string;
  /** The images that nodes start with. */
  store: string;
}

/** What has to be on this machine before a cluster can start: programs and images, all kept for the next time. */
export async function prepare(): Promise<Prepared> {
  await ensurePackages(CLUSTER_PACKAGES);
  await kubectlPath();
  const programs = await kubernetesPrograms();
  const archives = [await pauseImage(), await baseImage()];
  mkdirSync(cacheDirectory(), { recursive: true });
  return { programs, store: await imageStore(archives, snapshotterFor(cacheDirectory())) };
}

/** Starts a cluster where there is none. Whatever it starts is on record before the next thing is. */
export async function create(options: ClusterOptions, { programs, store }: Prepared): Promise<State> {
  const state = await firstState(options, programs);
  const nodes = planNodes(state.cluster, options);
  await step(`make ${nodes.length + 1} machines of Linux namespaces, and keys`, async () => {
    await together([makeMachines(state, nodes), createCertificates(state)]);
    createAccounts(state, nodes);
  });
  await step("start etcd, the API server and a containerd on each node", () =>
    together([startControlPlane(state), ...nodes.map((node) => startContainerd(state, node, store))]),
  );
  await step(`start kubelet and kube-proxy (${options.proxyMode}) on each node`, () =>
    startNodes(state, nodes),
  );
  return updateState((latest) => {
    latest.ready = true;
  });
}

async function firstState(options: ClusterOptions, programs: string): Promise<State> {
  const shared = (await otherClusters(clusterName())).length > 0;
  const state: State = {
    cluster: clusterName(),
    options,
    directory: runDirectory(),
    data: dataDirectory(),
    programs,
    port: await freePort(FIRST_PORT),
    ready: false,
    machines: {},
    daemons: [],
    mountPoints: shared ? NODE_MOUNT_POINTS : NODE_MOUNT_POINTS.filter((place) => !existsSync(place)),
  };
  writeState(state);
  mkdirSync(state.data, { recursive: true });
  for (const place of state.mountPoints) mkdirSync(place, { recursive: true });
  return state;
}

async function makeMachines(state: State, nodes: NodePlan[]): Promise<void> {
  const router = planControlPlane(state.cluster);
  await createNetwork(router, nodes);
  await Promise.all([router, ...nodes].map((machine) => startMachine(state, machine)));
}

async function startNodes(state: State, nodes: NodePlan[]): Promise<void> {
  await Promise.all(nodes.map((node) => registerNode(state, node)));
  for (const node of nodes) startKubelet(state, node);
  await together([
    ...nodes.map((node) => waitForNode(state, node)),
    ...nodes.map((node) => waitForServices(state, node)),
    waitForFirstObjects(state),
  ]);
}

/** A kubelet takes over a Node that is there already; made here, it has the pod range that its CNI configuration has. */
async function registerNode(state: State, { name, podCidr }: NodePlan): Promise<void> {
  const answer = await ask(adminKubeconfig(state), NODES, {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels: { "kubernetes.io/hostname": name } },
    spec: { podCIDR: podCidr, podCIDRs: [podCidr] },
  });
  if (answer?.status !== 201) throw new Error(`the API server did not take ${name}: ${answer?.body}`);
}

async function waitForNode(state: State, node: NodePlan): Promise<void> {
  const { kubelet } = nodeDaemons(state, node);
  await until(startOf(state, kubelet.name, READY_SECONDS), async () => {
    const answer = await ask(adminKubeconfig(state), `${NODES}/${node.name}`);
    return answer?.status === 200 && isReadyNode(JSON.parse(answer.body) as Node);
  });
}

/** Ready, and free of the taint that every new node has until the controller manager has seen it ready. */
function isReadyNode({ spec, status }: Node): boolean {
  const ready = status.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
  return ready === true && !spec.taints?.length;
}

/** Pods of the namespace `default` cannot be made without these. */
async function waitForFirstObjects(state: State): Promise<void> {
  const startOfManager = startOf(state, CONTROLLER_MANAGER, READY_SECONDS);
  for (const path of ["serviceaccounts/default", "configmaps/kube-root-ca.crt"]) {
    await until(startOfManager, async () => {
      const answer = await ask(adminKubeconfig(state), `/api/v1/namespaces/default/${path}`);
      return answer?.status === 200;
    });
  }
}

/** kube-proxy is done when the API server answers at its Service address: what every pod will use. */
async function waitForServices(state: State, node: NodePlan): Promise<void> {
  const { kubeProxy } = nodeDaemons(state, node);
  const target = `TCP4:${API_SERVICE.address}:${API_SERVICE.port},connect-timeout=1`;
  const attempt = [`--net=${netnsPath(node.netns)}`, "socat", "-u", "/dev/null", target];
  await until(startOf(state, kubeProxy.name, READY_SECONDS), async () => {
    return !(await execa("nsenter", attempt, { reject: false })).failed;
  });
}

/** The same port each time if it is free, so that a kubeconfig in use and a browser's history stay right. */
async function freePort(first: number): Promise<number> {
  return (await isFree(first)) ? first : freePort(first + 1);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer().once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
