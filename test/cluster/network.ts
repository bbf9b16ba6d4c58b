import { existsSync } from "node:fs";
import { execa } from "execa";
import { netnsPath } from "./machine.ts";
import { CONTROL_PLANE, type MachinePlan, type NodePlan, UPLINK } from "./plan.ts";

/**
 * Makes the machines' network namespaces and joins them: one bridge in the control plane's, a link from each node to it.
 * The control plane is the router that nodes send everything unknown to, where it vanishes as link-local traffic does in a
 * real one: nothing leaves the machine, and a leak shows on the bridge.
 */
export async function createNetwork(router: MachinePlan, nodes: readonly NodePlan[]): Promise<void> {
  await ip(
    [],
    [router, ...nodes].map(({ netns }) => `netns add ${netns}`),
  );
  await ip(
    [],
    nodes.map((node) => linkTo(router, node)),
  );
  const settings = ["net.ipv4.ip_forward=1", ...(await bridgeNetfilter())];
  await Promise.all([
    ip(["-n", router.netns], uplinkSide(nodes)),
    setKernel(router, ["net.ipv4.ip_forward=1"]),
    ...nodes.map((node) => ip(["-n", node.netns], nodeSide(node, nodes))),
    // Bridged packets must pass netfilter, or same-node pods would see Services not translated back (kube-proxy asks for it).
    ...nodes.map((node) => setKernel(node, settings)),
  ]);
}

/** The names of the namespaces that exist of a cluster, however many nodes it had. */
export async function existingNetworks(cluster: string): Promise<string[]> {
  const ours = (name: string) =>
    name.startsWith(`${cluster}-`) && /^(control-plane|node-\d+)$/.test(name.slice(cluster.length + 1));
  return (await allNetworks()).filter(ours);
}

/** The names of further clusters on this machine. */
export async function otherClusters(cluster: string): Promise<string[]> {
  const suffix = `-${CONTROL_PLANE.name}`;
  const clusters = (await allNetworks())
    .filter((name) => name.endsWith(suffix))
    .map((name) => name.slice(0, -suffix.length));
  return clusters.filter((name) => name !== cluster);
}

async function allNetworks(): Promise<string[]> {
  const { stdout } = await execa("ip", ["netns", "list"]);
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => line.split(" ")[0] ?? "");
}

/** Processes that run in a network namespace. */
export async function processesIn(netns: string): Promise<number[]> {
  // After a reboot the name may be left as a file, without a namespace behind it.
  const { stdout } = await execa("ip", ["netns", "pids", netns], { reject: false });
  return stdout.split("\n").filter(Boolean).map(Number);
}

/** Deletes network namespaces; links and routes go with them. */
export async function deleteNetworks(names: readonly string[]): Promise<void> {
  await ip(
    [],
    names.map((name) => `netns delete ${name}`),
  );
}

function linkTo(router: MachinePlan, { name, netns }: NodePlan): string {
  return `link add ${name} netns ${router.netns} type veth peer name eth0 netns ${netns}`;
}

function uplinkSide(nodes: readonly NodePlan[]): string[] {
  return [
    "link set lo up",
    `link add ${UPLINK} type bridge forward_delay 0`,
    `address add ${CONTROL_PLANE.address}/24 dev ${UPLINK}`,
    `link set ${UPLINK} up`,
    ...nodes.map(({ name }) => `link set ${name} master ${UPLINK} up`),
    ...nodes.map(({ podCidr, address }) => `route add ${podCidr} via ${address}`),
    "route add blackhole default",
  ];
}

function nodeSide(node: NodePlan, nodes: readonly NodePlan[]): string[] {
  const others = nodes.filter(({ name }) => name !== node.name);
  return [
    "link set lo up",
    `address add ${node.address}/24 dev eth0`,
    "link set eth0 up",
    `route add default via ${CONTROL_PLANE.address}`,
    ...others.map(({ podCidr, address }) => `route add ${podCidr} via ${address}`),
  ];
}

async function ip(options: string[], batch: string[]): Promise<void> {
  if (batch.length === 0) return;
  await execa("ip", [...options, "-batch", "-"], { input: `${batch.join("\n")}\n` });
}

async function setKernel({ netns }: MachinePlan, settings: string[]): Promise<void> {
  await execa("nsenter", [`--net=${netnsPath(netns)}`, "sysctl", "-q", "-w", ...settings]);
}

async function bridgeNetfilter(): Promise<string[]> {
  const known = () => existsSync("/proc/sys/net/bridge");
  if (!known()) await execa("modprobe", ["br_netfilter"], { reject: false });
  return known() ? ["net.bridge.bridge-nf-call-iptables=1"] : [];
}
