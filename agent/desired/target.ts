import { parseIpv4 } from "../../component/address/ipv4.ts";
import { formatIpv6, parseIpv6 } from "../../component/address/ipv6.ts";
import type { Address, Port } from "../config/config.ts";
import type { Pod } from "../kubernetes/pod.ts";
import type { Family, Target } from "./state.ts";

/** The targets of one port, or why there are none. */
export interface Choice {
  targets: Target[];
  reason: string | undefined;
}

/**
 * Chooses, from the pods that match an address, the targets of new flows to one of its ports (undefined: the whole IP).
 *
 * | a matching pod of the node                        | new flows                    | flows it has |
 * |---------------------------------------------------|------------------------------|--------------|
 * | Running, ready, not terminating                   | the newest of these          | kept         |
 * | Running, ready, terminating (it drains)           | the newest, when none above  | kept         |
 * | Running, not ready                                | never                        | kept         |
 * | Pending, Succeeded, Failed, without an IP         | never                        | cut          |
 * | on the host network, and the address forbids it   | never                        | cut          |
 * | without the named target port                     | never, for this port         | kept         |
 *
 * "Newest" is the latest creation, then the greater uid; so with maxSurge traffic moves before the old pod is told to
 * stop. With `loadBalance` all pods of the first row that has any get new flows, the newest first. Terminating pods
 * come after ready ones (KEP-1669). A pod without an IP of the magic IP's family counts as a pod without an IP.
 */
export function chooseTargets(
  address: Address,
  port: Port | undefined,
  family: Family,
  matching: Pod[],
): Choice {
  const able = matching.filter((pod) => whyNotTarget(address, port, family, pod) === undefined);
  const ready = able.filter(({ terminating }) => !terminating);
  const chosen = newestFirst(ready.length > 0 ? ready : able).slice(0, address.loadBalance ? undefined : 1);
  const targets = chosen.map((pod) => targetOf(pod, port, family));
  return { targets, reason: targets.length > 0 ? undefined : whyNone(address, port, family, matching) };
}

/** The IPs of the matching pods that may keep their existing flows. */
export function livePodIps(address: Address, family: Family, matching: Pod[]): string[] {
  return matching
    .filter((pod) => whyNotLive(address, family, pod) === undefined)
    .map((pod) => usableIp(pod, family) ?? "");
}

/** Removes the magic IPs from the pods' IPs, because a magic IP as a target would redirect packets in a circle. */
export function withoutIps(pods: Pod[], magicIps: Set<string>): Pod[] {
  return pods.map((pod) =>
    pod.ips.some((ip) => magicIps.has(ip)) ? { ...pod, ips: pod.ips.filter((ip) => !magicIps.has(ip)) } : pod,
  );
}

/**
 * Removes from each pod the IPs that a newer pod has now: for a while the API may report a pod as running although its
 * sandbox is gone and its IP belongs to another pod. Pods on the host network share the node's IPs and keep them.
 */
export function withOwnIps(pods: Pod[]): Pod[] {
  const owners = new Map<string, Pod>();
  for (const pod of pods) {
    if (pod.hostNetwork || !/^(Running|Pending)$/.test(pod.phase)) continue;
    for (const ip of pod.ips) if (byAge(pod, owners.get(ip) ?? pod) <= 0) owners.set(ip, pod);
  }
  return pods.map((pod) => {
    const ips = pod.hostNetwork ? pod.ips : pod.ips.filter((ip) => (owners.get(ip) ?? pod) === pod);
    return ips.length === pod.ips.length ? pod : { ...pod, ips };
  });
}

function newestFirst(pods: Pod[]): Pod[] {
  return pods.toSorted(byAge);
}

/** Sorts the newest pod first. */
function byAge(a: Pod, b: Pod): number {
  return compare(b.created, a.created) || compare(b.uid, a.uid);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function targetOf(pod: Pod, port: Port | undefined, family: Family): Target {
  const { namespace, name, uid } = pod;
  return { namespace, name, uid, ip: usableIp(pod, family) ?? "", port: port && portOn(pod, port) };
}

function whyNone(address: Address, port: Port | undefined, family: Family, matching: Pod[]): string {
  if (matching.length === 0) return `no pod in ${address.namespace} matches ${address.selector}`;
  const named = matching
    .slice(0, mostNamed)
    .map((pod) => `${pod.namespace}/${shortened(pod.name)} ${whyNotTarget(address, port, family, pod)}`);
  const others = matching.length - named.length;
  return [...named, ...(others > 0 ? [`and ${others} more`] : [])].join(", ");
}

/**
 * Pods that a problem names with their reasons, and characters of their names. Both are limited because any number of
 * pods may match, and there may be 10,000 bindings, each with a problem.
 */
const [mostNamed, longestName] = [3, 100];

function shortened(name: string): string {
  return name.length > longestName ? `${name.slice(0, longestName - 1)}…` : name;
}

function whyNotTarget(
  address: Address,
  port: Port | undefined,
  family: Family,
  pod: Pod,
): string | undefined {
  const notLive = whyNotLive(address, family, pod);
  if (notLive !== undefined) return notLive;
  if (!pod.ready) return "is not ready";
  if (typeof port?.targetPort === "string" && portOn(pod, port) === undefined)
    return `has no ${port.protocol} container port named ${port.targetPort}`;
  return undefined;
}

function whyNotLive(address: Address, family: Family, pod: Pod): string | undefined {
  if (pod.phase !== "Running") return `is ${pod.phase || "not scheduled"}`;
  if (pod.hostNetwork && !address.hostNetworkTargets)
    return "is on the host network, which hostNetworkTargets does not allow";
  if (usableIp(pod, family) === undefined)
    return `has no usable ${family === "ipv4" ? "IPv4" : "IPv6"} address`;
  return undefined;
}

/**
 * The pod's IP of the family, in canonical text. The status of a pod is untrusted input: loopback (it would reach the
 * node itself), link-local, multicast and similar addresses are refused.
 */
function usableIp(pod: Pod, family: Family): string | undefined {
  for (const ip of pod.ips) {
    const usable = family === "ipv4" ? usableIpv4(ip) : usableIpv6(ip);
    if (usable !== undefined) return usable;
  }
  return undefined;
}

function usableIpv4(ip: string): string | undefined {
  const value = parseIpv4(ip) ?? 0;
  const first = Math.floor(value / 2 ** 24);
  const isLinkLocal = Math.floor(value / 2 ** 16) === 0xa9fe;
  return first > 0 && first !== 127 && first < 224 && !isLinkLocal ? ip : undefined;
}

/** Global unicast (2000::/3, RFC 4291 §2.4) or unique local (fc00::/7, RFC 4193). */
function usableIpv6(ip: string): string | undefined {
  const value = parseIpv6(ip);
  if (value === undefined) return undefined;
  const isGlobal = value >> 125n === 1n;
  const isUniqueLocal = value >> 121n === 0x7en;
  return isGlobal || isUniqueLocal ? formatIpv6(value) : undefined;
}

function portOn(pod: Pod, { targetPort, protocol }: Port): number | undefined {
  if (typeof targetPort !== "string") return targetPort;
  return pod.namedPorts.find(({ name, protocol: of }) => name === targetPort && of === protocol)?.port;
}
