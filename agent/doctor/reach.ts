import type { Scope, Survey } from "./scope.ts";
import type { Finding } from "../finding.ts";
import {
  type Diversion,
  isAdvertised,
  isOutside,
  isWired,
  judge,
  type Link,
  type Network,
  type PodRoute,
  wide,
} from "../desired/network.ts";
import type { Pod } from "../kubernetes/pod.ts";

type Families = Survey["bridgeNetfilter"];

/** How many pods or interfaces a finding names. */
const named = 3;

/** What in the node's links and routes keeps packets from the pods that serve, or lets packets from outside in. */
export function reachFindings(scope: Scope, { network, bridgeNetfilter }: Survey): Finding[] {
  if (network === undefined) return [unreadable];
  const used = (pod: string) =>
    scope.dialed.some(({ ipAddress }) => ipAddress.includes(":") === pod.includes(":"));
  const pods = network.pods.filter(({ pod, type }) => type !== "local" && used(pod));
  return [
    ...unreachable(network, pods),
    ...behindUplink(scope, network, pods),
    ...behindPort(scope, network, pods, bridgeNetfilter),
    ...diverted(network.diversions.filter(({ pod }) => used(pod))),
    ...(scope.outsideGuard ? letIn(network) : []),
    ...advertised(network),
  ];
}

const unreadable: Finding = {
  code: "LINKS_UNREADABLE",
  severity: "info",
  message: "where the node's interfaces lead, and whether it reaches the pods that serve, could not be read",
  remedy: "use the agent's own image, which has the program magic-ip-netlink",
};

function unreachable(network: Network, pods: PodRoute[]): Finding[] {
  const lost = pods.filter(({ type, bits }) => type === "none" || bits <= wide);
  if (lost.length === 0) return [];
  const by = linkOf(network, lost[0]?.link)?.name;
  const why = by === undefined ? "no route to" : `no route but the default one, by ${by}, to`;
  return [
    {
      code: "TARGET_UNREACHABLE",
      severity: severity(lost, pods),
      message: `the node has ${why} ${list(lost.map(({ pod }) => pod))}: what is sent to a magic IP does not reach ${lost.length === 1 ? "this pod" : "these pods"}`,
      remedy:
        "attach the pods with a CNI plugin that routes them by the node (bridge, ptp, Calico …), not with macvlan, ipvlan or SR-IOV; ip route get POD_IP on the node shows the route",
    },
  ];
}

function behindUplink({ outsideGuard }: Scope, network: Network, pods: PodRoute[]): Finding[] {
  const judgements = judge(network);
  const routed = pods.filter(({ type, bits }) => type === "unicast" && bits > wide);
  const behind = routed.flatMap(({ pod, link: index }) => {
    const link = linkOf(network, index);
    return link !== undefined && isOutside(link, judgements) ? [{ pod, link }] : [];
  });
  const [first] = behind;
  if (first === undefined) return [];
  const { name, kind } = first.link;
  const consequence = outsideGuard
    ? "what comes in there counts as from outside the node and is dropped"
    : "what pods there send to a magic IP may not pass the node at all";
  return [
    {
      code: "TARGET_BEHIND_UPLINK",
      severity: outsideGuard ? severity(behind, pods) : "warn",
      message: `${list(behind.map(({ pod }) => pod))} ${behind.length === 1 ? "is" : "are"} reached by ${name} (${kind || "a physical interface"}), which leads to other machines too: ${consequence}`,
      remedy:
        "attach the pods with a CNI plugin that routes them by the node (bridge, ptp, Calico …), not with macvlan, ipvlan or SR-IOV; or, where that network may be trusted, set outsideGuard: false",
    },
  ];
}

/**
 * The bridge plugin's `vlan`: the gateway is a veth whose other end is a port of the bridge. With br_netfilter the
 * kernel translates while the packet is on the bridge, from where it does not find the gateway. Without br_netfilter
 * the target's answer to a neighbour goes straight back, unless the client is masqueraded.
 */
function behindPort({ masquerade }: Scope, { links }: Network, pods: PodRoute[], on: Families): Finding[] {
  const works = (pod: string) => !on[pod.includes(":") ? "ipv6" : "ipv4"] && masquerade === "always";
  const isPort = (index: number) => links.some((link) => link.index === index && link.master !== 0);
  const behind = pods.flatMap(({ pod, link: index }) => {
    const link = links.find((link) => link.index === index);
    return link?.kind === "veth" && isPort(link.peer) && !works(pod) ? [{ pod, link }] : [];
  });
  const [first] = behind;
  if (first === undefined) return [];
  return [
    {
      code: "TARGET_BEHIND_BRIDGE_PORT",
      severity: severity(behind, pods),
      message: `${list(behind.map(({ pod }) => pod))} ${behind.length === 1 ? "is" : "are"} reached by ${first.link.name}, whose other end is a port of a bridge (the bridge plugin's vlan): pods of that bridge get no answer from a magic IP`,
      remedy:
        "set masquerade: always, and sysctl -w net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 on the node where nothing else there needs it; or leave vlan out of the CNI plugin's configuration",
    },
  ];
}

/** A rule of the routing policy that leads packets elsewhere breaks a Service's ClusterIP in the same way. */
function diverted(diversions: Diversion[]): Finding[] {
  const [first] = diversions;
  if (first === undefined) return [];
  const { priority, table, pod } = first;
  const from = list(diversions.map(({ interface: name }) => name));
  return [
    {
      code: "ROUTED_ELSEWHERE",
      severity: "warn",
      message: `ip rule ${priority} leads what comes in by ${from} to the routing table ${table}, which does not lead to ${pod}: pods there time out at a magic IP, as at a ClusterIP of that pod`,
      remedy: `give the table a route to the pods of the node, as an ip rule to their network that comes before ${priority}: ip rule add to POD_CIDR lookup main priority ${Math.max(1, priority - 1)} (security groups for pods: POD_SECURITY_GROUP_ENFORCING_MODE=standard)`,
    },
  ];
}

function letIn(network: Network): Finding[] {
  const judgements = judge(network);
  const shared = network.links.filter(
    (link) =>
      judgements.get(link.index) === "inside" &&
      ((link.ipv4?.widest ?? 128) <= wide || (link.kind === "bridge" && isWired(link, network))),
  );
  if (shared.length === 0) return [];
  return [
    {
      code: "PODS_BESIDE_OUTSIDE",
      severity: "warn",
      message: `${list(shared.map(({ name }) => name))} leads to pods of the node and to other machines: packets to a magic IP from those are not told from the pods' own, and are let in`,
      remedy: "keep the pods' bridge and the node's uplink apart, or drop such packets in that network",
    },
  ];
}

function advertised(network: Network): Finding[] {
  const links = network.links.filter((link) => isAdvertised(link, network));
  return links.slice(0, named).map(({ name }) => ({
    code: "DEFAULT_ROUTE_BY_PODS",
    severity: "warn",
    message: `IPv6's default route leads by ${name}, where pods are: a pod may have advertised it, and the node's IPv6 packets to other machines go to that pod`,
    remedy: `sysctl -w net.ipv6.conf.${name}.accept_ra=0 on the node, and ip -6 route delete default dev ${name}`,
  }));
}

/** Unreachable pods concern only the clients that dial them; if all pods are, no magic IP works on this node. */
function severity(affected: unknown[], all: PodRoute[]): "fail" | "warn" {
  return affected.length === all.length ? "fail" : "warn";
}

function linkOf({ links }: Network, index: number | undefined): Link | undefined {
  return links.find((link) => link.index === index);
}

function list(names: string[]): string {
  const more = names.length - named;
  return `${names.slice(0, named).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** The IPs of pods that can serve now: a terminating pod may have lost its route already. */
export function servingIps(pods: Pod[], here: string): string[] {
  const serving = pods.filter(
    ({ ready, terminating, hostNetwork, nodeName }) =>
      ready && !terminating && !hostNetwork && nodeName === here,
  );
  return [...new Set(serving.flatMap(({ ips }) => ips))];
}
