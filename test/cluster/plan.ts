import { isDeepStrictEqual } from "node:util";

/** What a user may choose about the cluster. */
export interface ClusterOptions {
  /** How many nodes; default 2. */
  nodes: number;
  /** How kube-proxy writes its rules; default nftables. */
  proxyMode: ProxyMode;
  /** `bridge`: pods of a node share a bridge, as with kubenet or Flannel. `routed`: a host route for each pod, as with Calico or AWS. */
  network: PodNetwork;
}

export const PROXY_MODES = ["nftables", "iptables"] as const;
export const POD_NETWORKS = ["bridge", "routed"] as const;
export const MOST_NODES = 50;
export type ProxyMode = (typeof PROXY_MODES)[number];
export type PodNetwork = (typeof POD_NETWORKS)[number];

/** One of the cluster's machines: a set of Linux namespaces with a network name and an address of its own. */
export interface MachinePlan {
  name: string;
  /** The name of its network namespace, as `ip netns` shows it. */
  netns: string;
  address: string;
}

/** A machine that runs pods. */
export interface NodePlan extends MachinePlan {
  podCidr: string;
  /** Where its containers' cgroups hang, from the root of each cgroup hierarchy. */
  cgroup: string;
}

export const POD_RANGE = "10.244.0.0/16";
export const SERVICE_RANGE = "10.96.0.0/16";
/** The Service `kubernetes`: always the first address of the service range. */
export const API_SERVICE = { address: "10.96.0.1", port: 443 };
export const API_PORT = 6443;
/** The bridge in the control plane's namespace that every node's default route leads to. */
export const UPLINK = "uplink";
export const CONTROL_PLANE = { name: "control-plane", address: "198.18.0.1" };

/** The options with every default filled in; throws when one makes no sense. */
export function completeOptions(options: Partial<ClusterOptions> = {}): ClusterOptions {
  const { nodes = 2, proxyMode = "nftables", network = "bridge" } = options;
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > MOST_NODES)
    throw new RangeError(`nodes: it has to be a whole number from 1 to ${MOST_NODES}`);
  oneOf("proxy mode", PROXY_MODES, proxyMode);
  oneOf("network", POD_NETWORKS, network);
  return { nodes, proxyMode, network };
}

/** Whether two clusters would be the same. */
export function sameOptions(one: ClusterOptions, other: ClusterOptions): boolean {
  return isDeepStrictEqual(one, other);
}

/** All machines of a cluster; what they share with the host's other namespaces and cgroups bears the cluster's name. */
export function planMachines(cluster: string, options: ClusterOptions): MachinePlan[] {
  return [planControlPlane(cluster), ...planNodes(cluster, options)];
}

/** The machine of etcd and the API server. */
export function planControlPlane(cluster: string): MachinePlan {
  return { ...CONTROL_PLANE, netns: `${cluster}-${CONTROL_PLANE.name}` };
}

/** The nodes of a cluster: node-1, node-2, … */
export function planNodes(cluster: string, { nodes }: ClusterOptions): NodePlan[] {
  return Array.from({ length: nodes }, (_, index) => planNode(cluster, index + 1));
}

function planNode(cluster: string, number: number): NodePlan {
  const name = `node-${number}`;
  return {
    name,
    netns: `${cluster}-${name}`,
    address: `198.18.0.${10 + number}`,
    podCidr: `10.244.${number}.0/24`,
    cgroup: `/${cluster}-${name}`,
  };
}

function oneOf(what: string, allowed: readonly string[], value: string): void {
  if (!allowed.includes(value))
    throw new RangeError(`${what}: ${JSON.stringify(value)} is neither ${allowed.join(" nor ")}`);
}
