import { execa, type ResultPromise } from "execa";
import { withLock } from "../support/cache.ts";
import { isAlive } from "../support/process.ts";
import { say, step } from "../support/progress.ts";
import { adminKubeconfig } from "./certificates.ts";
import { API_SERVER, controlPlaneDaemons, isReady, startApiServer } from "./control-plane.ts";
import { create, prepare } from "./creation.ts";
import { runs, startDaemon, stopDaemon } from "./daemon.ts";
import { loadImage } from "./image-loading.ts";
import { runKubectl } from "./kubectl.ts";
import { netnsPath } from "./machine.ts";
import { existingNetworks } from "./network.ts";
import { containerdSocket, imagePlace, nodeDaemons } from "./node.ts";
import {
  type ClusterOptions,
  completeOptions,
  type NodePlan,
  planControlPlane,
  planMachines,
  planNodes,
  sameOptions,
  UPLINK,
} from "./plan.ts";
import { podNetnsPath } from "./pods.ts";
import { remove } from "./removal.ts";
import { clusterName, readState, type State } from "./state.ts";

/**
 * A running cluster. Each machine is a set of Linux namespaces, and no address but 127.0.0.1 exists outside of them:
 *
 *     host  127.0.0.1:PORT ── a socket in the file system ──┐
 *     control-plane  198.18.0.1   etcd, API server, controller manager, scheduler; routes, and swallows what is for nobody
 *        └ bridge "uplink" ┬ node-1  198.18.0.11   containerd, kubelet, kube-proxy;  pods 10.244.1.0/24
 *                          └ node-2  198.18.0.12   the same;                         pods 10.244.2.0/24
 */
export interface Cluster {
  options: ClusterOptions;
  /** The administrator's kubeconfig, for programs on the host. */
  kubeconfig: string;
  /** Where its sockets, configuration and logs (`logs/`) are. */
  directory: string;
  nodes: ClusterNode[];
  /** The router that every node's default route leads to: what is seen on its bridge has left a node. */
  uplink: { netns: string; device: string };
  /** Runs kubectl and returns what it prints. */
  kubectl(args: readonly string[], options?: { input?: string }): Promise<string>;
  /** Loads a docker-archive into the containerd of every node that does not have its image; `baseImage()` is there from the start. */
  loadImage(tar: string): Promise<void>;
  /** Kills the API server as in a power cut; etcd and everything else stay. */
  stopApiServer(): Promise<void>;
  /** Starts the API server again; it is ready when this returns. */
  startApiServer(): Promise<void>;
}

/** A node of a running cluster. */
export interface ClusterNode {
  name: string;
  /** The name of its network namespace. */
  netns: string;
  address: string;
  podCidr: string;
  containerdSocket: string;
  /** Runs argv, a program of the host, with the node's network. */
  exec(argv: readonly string[], options?: ExecOptions): Execution;
  /** Runs argv, a program of the host, with a pod's network; the pod has to run on this node. */
  podExec(namespace: string, pod: string, argv: readonly string[], options?: ExecOptions): Execution;
  /** Stops kube-proxy; the rules that it wrote stay. */
  stopKubeProxy(): Promise<void>;
  startKubeProxy(): Promise<void>;
  /** Kills the kubelet; the containers go on. */
  stopKubelet(): Promise<void>;
  startKubelet(): Promise<void>;
}

/** What may be said about a command besides its arguments. */
export interface ExecOptions {
  input?: string;
  /** Milliseconds after which it is ended. */
  timeout?: number;
  /** Whether a failure throws; default true. */
  reject?: boolean;
}

/** A command that runs: a promise of its result, and a child process to watch or to kill. */
export type Execution = ResultPromise<ExecOptions>;

/** A cluster with these options: the one that runs, if it has them and is sound, or else a new one. */
export async function up(options: Partial<ClusterOptions> = {}): Promise<Cluster> {
  const wanted = completeOptions(options);
  requireRoot();
  return withLock(clusterName(), async () => {
    const running = await attach();
    if (running && sameOptions(running.options, wanted)) return running;
    const prepared = await prepare();
    if (await somethingIsLeft()) {
      say(
        running
          ? "the running cluster has other options: making it anew"
          : "what is left of a cluster goes first",
      );
      await step("remove the cluster", remove);
    }
    return clusterOf(await create(wanted, prepared));
  });
}

/** The cluster that runs on this machine; undefined when there is none, or not all of it works. */
export async function attach(): Promise<Cluster | undefined> {
  const state = readState();
  if (!state?.ready || notRunning(state).length > 0) return undefined;
  return (await isReady(state)) ? clusterOf(state) : undefined;
}

/** Removes the cluster, whatever state it is in, and everything that it left on the machine. */
export async function down(): Promise<void> {
  requireRoot();
  await withLock(clusterName(), remove);
}

/** The programs and machines that a cluster should have and that do not run. */
export function notRunning(state: State): string[] {
  const nodes = planNodes(state.cluster, state.options);
  const machines = planMachines(state.cluster, state.options).map(({ name }) => name);
  const plans = [
    ...controlPlaneDaemons(state),
    ...nodes.flatMap((node) => Object.values(nodeDaemons(state, node))),
  ];
  const dead = machines.filter((name) => !state.machines[name] || !isAlive(state.machines[name]));
  return [...dead, ...plans.map(({ name }) => name).filter((name) => !runs(state, name))];
}

function clusterOf(state: State): Cluster {
  const { cluster, options, directory } = state;
  const kubeconfig = adminKubeconfig(state);
  const nodes = planNodes(cluster, options);
  return {
    options,
    kubeconfig,
    directory,
    nodes: nodes.map((node) => nodeOf(state, node)),
    uplink: { netns: planControlPlane(cluster).netns, device: UPLINK },
    kubectl: (args, { input } = {}) => runKubectl(kubeconfig, args, input),
    loadImage: (tar) =>
      loadImage(
        nodes.map((node) => imagePlace(state, node)),
        tar,
      ),
    stopApiServer: () => stopDaemon(current(state), API_SERVER, "kill"),
    startApiServer: () => startApiServer(current(state)),
  };
}

function nodeOf(state: State, node: NodePlan): ClusterNode {
  const { name, netns, address, podCidr } = node;
  const { kubelet, kubeProxy } = nodeDaemons(state, node);
  return {
    name,
    netns,
    address,
    podCidr,
    containerdSocket: containerdSocket(state, node),
    exec: (argv, options) => execIn(netnsPath(netns), argv, options),
    podExec: (namespace, pod, argv, options) =>
      execIn(podNetnsPath(current(state), node, namespace, pod), argv, options),
    stopKubeProxy: () => stopDaemon(current(state), kubeProxy.name, "kill"),
    startKubeProxy: async () => startDaemon(current(state), kubeProxy),
    stopKubelet: () => stopDaemon(current(state), kubelet.name, "kill"),
    startKubelet: async () => startDaemon(current(state), kubelet),
  };
}

/** Other processes may have stopped and started parts of the cluster since. */
function current(state: State): State {
  return readState() ?? state;
}

function execIn(netns: string, argv: readonly string[], options: ExecOptions = {}): Execution {
  return execa("nsenter", [`--net=${netns}`, "--", ...argv], { input: "", ...options });
}

async function somethingIsLeft(): Promise<boolean> {
  return readState() !== undefined || (await existingNetworks(clusterName())).length > 0;
}

function requireRoot(): void {
  if (process.getuid?.() !== 0)
    throw new Error("a cluster needs root: it makes namespaces, mounts and cgroups");
}
