import type { Namespaces } from "./namespaces.ts";

/** How a pod is attached to its node: by a bridge, as CNI's bridge plugin does it; by a routed veth, as Calico and the
 *  AWS VPC CNI do it; or not at all, on the host network. */
export type PodNetwork = "bridge" | "routed" | "host";

/** Both addresses of the node, as a hostNetwork pod has them. */
export const nodeIps = ["192.0.2.10", "fd00:2::10"];
export const outsideIps = ["192.0.2.1", "fd00:2::1"];
/** What clients of the bridge look like when they are masqueraded. */
export const bridgeIps = ["10.9.0.1", "fd00:9::1"];

/** Ranges that the outside host sends to the node, as anybody on its network may: magic IPs and pods. */
const throughTheNode = [
  "169.254.210.0/24",
  "fd00:210::/64",
  "10.9.0.0/24",
  "fd00:9::/64",
  "10.10.0.0/24",
  "fd00:10::/64",
];

/** The gateway of every routed pod; it is nobody's address, the node answers for it. */
const gateway = { mac: "ee:ee:ee:ee:ee:ee", ipv4: "169.254.1.1", ipv6: "fe80::ecee:eeff:feee:eeee" };

/**
 * A node with a bridge, and an uplink to an outside host that is its default gateway, so that a packet that leaks can be
 * seen. Nothing of it touches the machine's own network.
 */
export async function addNode(namespaces: Namespaces): Promise<void> {
  await Promise.all([namespaces.add("node"), namespaces.add("outside")]);
  // Tests get more errors in a second than the kernel gives a client.
  await namespaces.sysctl("node", { "net.ipv4.icmp_ratelimit": 0, "net.ipv6.icmp.ratelimit": 0 });
  await namespaces.ip("node", [
    // A bridge without an address of its own changes its own with its ports'.
    "link add cni0 address 02:00:00:00:09:01 type bridge",
    "address add 10.9.0.1/24 dev cni0",
    "address add fd00:9::1/64 dev cni0 nodad",
    "link set cni0 up",
    `link add uplink type veth peer name uplink netns ${namespaces.fullName("outside")}`,
    `address add ${nodeIps[0]}/24 dev uplink`,
    `address add ${nodeIps[1]}/64 dev uplink nodad`,
    "link set uplink up",
  ]);
  await namespaces.ip("outside", [
    `address add ${outsideIps[0]}/24 dev uplink`,
    `address add ${outsideIps[1]}/64 dev uplink nodad`,
    "link set uplink up",
    ...throughTheNode.map((range) => `route add ${range} via ${nodeIps[range.includes(":") ? 1 : 0]}`),
  ]);
  await namespaces.ip(
    "node",
    outsideIps.map((ip) => `route add default via ${ip}`),
  );
}

/** Attaches a pod's namespace to the node; returns the pod's addresses. */
export async function connectPod(
  namespaces: Namespaces,
  name: string,
  number: number,
  network: PodNetwork,
): Promise<string[]> {
  if (network === "host") return nodeIps;
  return network === "bridge"
    ? connectBridgePod(namespaces, name, number)
    : connectRoutedPod(namespaces, name, number);
}

async function connectBridgePod(namespaces: Namespaces, name: string, number: number): Promise<string[]> {
  const ips = [`10.9.0.${number}`, `fd00:9::${number.toString(16)}`];
  const link = `veth${number}`;
  await namespaces.ip("node", [
    `link add ${link} type veth peer name eth0 netns ${namespaces.fullName(name)}`,
    `link set ${link} master cni0`,
    `link set ${link} type bridge_slave hairpin on`,
    `link set ${link} up`,
  ]);
  await namespaces.ip(name, [
    `address add ${ips[0]}/24 dev eth0`,
    `address add ${ips[1]}/64 dev eth0 nodad`,
    "link set eth0 up",
    "route add default via 10.9.0.1",
    "route add default via fd00:9::1",
  ]);
  return ips;
}

async function connectRoutedPod(namespaces: Namespaces, name: string, number: number): Promise<string[]> {
  const ips = [`10.10.0.${number}`, `fd00:10::${number.toString(16)}`];
  const link = `cali${number}`;
  await namespaces.ip("node", [
    `link add ${link} address ${gateway.mac} type veth peer name eth0 netns ${namespaces.fullName(name)}`,
    `link set ${link} up`,
    ...ips.map((ip) => `route add ${ip} dev ${link}`),
  ]);
  // The node answers ARP for the gateway, and does so at once.
  await namespaces.sysctl("node", {
    [`net.ipv4.conf.${link}.proxy_arp`]: 1,
    [`net.ipv4.neigh.${link}.proxy_delay`]: 0,
  });
  await namespaces.ip(name, [
    `address add ${ips[0]}/32 dev eth0`,
    `address add ${ips[1]}/128 dev eth0 nodad`,
    "link set eth0 up",
    `route add ${gateway.ipv4} dev eth0 scope link`,
    `route add default via ${gateway.ipv4}`,
    `route add default via ${gateway.ipv6} dev eth0`,
  ]);
  return ips;
}
