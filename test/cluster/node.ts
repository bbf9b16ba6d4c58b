import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { pki } from "./certificates.ts";
import { createCgroup } from "./cgroups.ts";
import { answers, containerdConfig, snapshotterFor } from "./containerd.ts";
import { type DaemonPlan, startDaemon, startOf } from "./daemon.ts";
import type { ImagePlace } from "./image-loading.ts";
import { copyStore } from "./image-store.ts";
import { type Mount, mountAll } from "./machine.ts";
import { until } from "./patience.ts";
import { PAUSE_IMAGE } from "./pause-image.ts";
import { type NodePlan, POD_RANGE } from "./plan.ts";
import { podNetwork } from "./pod-network.ts";
import type { State } from "./state.ts";

/** The daemons of a node, by what they do. */
export function nodeDaemons(
  state: State,
  node: NodePlan,
): Record<"containerd" | "kubelet" | "kubeProxy", DaemonPlan> {
  const machine = node.name;
  const program = (name: string) => join(state.programs, name);
  const kubelet = [
    program("kubelet"),
    `--config=${configFile(state, node, "kubelet.yaml")}`,
    `--kubeconfig=${pki(state, `${node.name}.kubeconfig`)}`,
    `--hostname-override=${node.name}`,
    `--node-ip=${node.address}`,
  ];
  return {
    containerd: {
      name: `containerd-${node.name}`,
      machine,
      argv: ["containerd", "--config", configFile(state, node, "containerd.toml")],
    },
    kubelet: { name: `kubelet-${node.name}`, machine, argv: kubelet },
    kubeProxy: {
      name: `kube-proxy-${node.name}`,
      machine,
      argv: [program("kube-proxy"), `--config=${configFile(state, node, "kube-proxy.yaml")}`],
    },
  };
}

/** Starts containerd in the node's machine, with the images of the store; it takes more when this returns. */
export async function startContainerd(state: State, node: NodePlan, store: string): Promise<void> {
  writeConfiguration(state, node);
  await Promise.all([mountPrivatePlaces(state, node), copyStore(store, containerdRoot(state, node))]);
  const { containerd } = nodeDaemons(state, node);
  startDaemon(state, containerd);
  await until(startOf(state, containerd.name), () => answers(containerdSocket(state, node)));
}

/** Starts kubelet and kube-proxy, which want a running API server. */
export function startKubelet(state: State, node: NodePlan): void {
  createCgroup(node.cgroup);
  const { kubelet, kubeProxy } = nodeDaemons(state, node);
  startDaemon(state, kubelet);
  startDaemon(state, kubeProxy);
}

/** The node's containerd, as a place to load images into. */
export function imagePlace(state: State, node: NodePlan): ImagePlace {
  const [socket, root] = [containerdSocket(state, node), containerdRoot(state, node)];
  return { socket, root, snapshotter: snapshotterFor(state.data) };
}

/** Where the node's containerd listens; the path holds on the host too. */
export function containerdSocket(state: State, node: NodePlan): string {
  return join(nodeDirectory(state, node), "containerd.sock");
}

function containerdRoot(state: State, node: NodePlan): string {
  return join(state.data, node.name, "containerd");
}

/** The node's own /run, seen from the host. */
export function nodeRun(state: State, node: NodePlan): string {
  return join(state.data, node.name, "run");
}

/** Directories that a node has for itself, at the places where they are on a real node. */
const PRIVATE_PLACES = { run: "/run", kubelet: "/var/lib/kubelet", cni: "/var/lib/cni", log: "/var/log" };

// Kubernetes: pkg/kubelet/cm/container_manager_linux.go, setupKernelTunables.
const KUBELET_SETTINGS = {
  "kernel.keys.root_maxbytes": 25_000_000,
  "kernel.keys.root_maxkeys": 1_000_000,
  "kernel.panic": 10,
  "kernel.panic_on_oops": 1,
  "vm.overcommit_memory": 1,
  "vm.panic_on_oom": 0,
};

/** The places that have to be there on the host, for something to be mounted on them. */
export const NODE_MOUNT_POINTS = Object.values(PRIVATE_PLACES);

async function mountPrivatePlaces(state: State, node: NodePlan): Promise<void> {
  const home = join(state.data, node.name);
  const places = Object.entries(PRIVATE_PLACES).map(([name, target]) => ({
    source: join(home, name),
    target,
  }));
  for (const { source } of places) mkdirSync(source, { recursive: true });
  // The cluster's own directory is below /run and must stay in sight.
  const within = join(home, state.directory);
  const keep = state.directory.startsWith("/run/") ? [{ source: state.directory, target: within }] : [];
  for (const { target } of keep) mkdirSync(target, { recursive: true });
  await mountAll(state, node.name, [...keep, ...places, ...kernelSettings(home)]);
}

/** The kubelet insists on settings that are the whole kernel's: it finds them as it wants them, and the host keeps its own. */
function kernelSettings(home: string): Mount[] {
  const directory = join(home, "kernel-settings");
  mkdirSync(directory, { recursive: true });
  return Object.entries(KUBELET_SETTINGS).map(([name, value]) => {
    const source = join(directory, name);
    writeFileSync(source, `${value}\n`);
    return { source, target: `/proc/sys/${name.replaceAll(".", "/")}` };
  });
}

function writeConfiguration(state: State, node: NodePlan): void {
  const write = (name: string, text: string) => {
    const file = configFile(state, node, name);
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, text);
  };
  const [root, socket] = [containerdRoot(state, node), containerdSocket(state, node)];
  const cri = criConfig(state, node);
  write("containerd.toml", containerdConfig({ root, state: "/run/containerd", socket, cri }));
  write("kubelet.yaml", stringify(kubeletConfig(state, node)));
  write("kube-proxy.yaml", stringify(kubeProxyConfig(state, node)));
  write("cni/10-pods.conflist", JSON.stringify(podNetwork(state.options.network, node), undefined, 2));
}

function criConfig(state: State, node: NodePlan): string {
  return `[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  # Without it runc cannot start anything where CAP_SYS_RESOURCE is missing ("can't get final child's PID from pipe").
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${snapshotterFor(state.data)}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${configFile(state, node, "cni")}"
`;
}

function kubeletConfig(state: State, node: NodePlan) {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: pki(state, "ca.crt") },
    },
    authorization: { mode: "Webhook" },
    cgroupDriver: "cgroupfs",
    cgroupRoot: node.cgroup,
    clusterDNS: ["127.0.0.1"], // there is none: look-ups shall fail at once, and not with a warning for each pod
    containerRuntimeEndpoint: `unix://${containerdSocket(state, node)}`,
    enforceNodeAllocatable: [],
    evictionHard: {}, // a full disk of the host is no reason to evict pods here
    failSwapOn: false,
    imageGCHighThresholdPercent: 100,
    nodeStatusUpdateFrequency: "5s",
    oomScoreAdj: 0, // a lower one needs CAP_SYS_RESOURCE
    resolvConf: "",
    serializeImagePulls: false,
    syncFrequency: "10s",
    volumeStatsAggPeriod: "-1s",
  };
}

function kubeProxyConfig(state: State, node: NodePlan) {
  return {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    clientConnection: { kubeconfig: pki(state, "kube-proxy.kubeconfig") },
    clusterCIDR: POD_RANGE,
    // The size of the connection table is the host's affair.
    conntrack: { maxPerCore: 0, min: 0 },
    hostnameOverride: node.name,
    mode: state.options.proxyMode,
  };
}

function configFile(state: State, node: NodePlan, name: string): string {
  return join(nodeDirectory(state, node), name);
}

function nodeDirectory(state: State, node: NodePlan): string {
  return join(state.directory, node.name);
}
