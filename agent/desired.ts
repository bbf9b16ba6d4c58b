import { parseIpv4 } from "../component/spec/ipv4.ts";
import { matchesSelector } from "../component/spec/selector.ts";
import type { Address, Config, Port, Protocol } from "./config.ts";
import type { Pod } from "./pod.ts";

/** The pod endpoint behind a magic IP's port. */
export interface Target {
  namespace: string;
  name: string;
  uid: string;
  ip: string;
  port: number;
}

/** Magic IP, protocol and port, and the target they lead to; none when no pod of the node can serve it. */
export interface Binding {
  ipAddress: string;
  protocol: Protocol;
  port: number;
  target: Target | undefined;
}

/** A pod that may go on carrying the flows it has through the magic IP. */
export interface LivePair {
  ipAddress: string;
  podIp: string;
}

/** A reason why a binding is missing or doubtful. */
export interface Problem {
  code: "NO_TARGET";
  message: string;
}

/** All that should hold on this node. */
export interface DesiredState {
  bindings: Binding[];
  live: LivePair[];
  problems: Problem[];
}

/**
 * What should hold on the node, from nothing but the configuration and the node's pods: the same pods give the same
 * answer whatever came before, so a relist never moves a target.
 *
 * | a matching pod of the node                        | new flows                    | flows it has |
 * |---------------------------------------------------|------------------------------|--------------|
 * | Running, ready, not terminating                   | the newest of these          | kept         |
 * | Running, ready, terminating (it drains)           | the newest, when none above  | kept         |
 * | Running, not ready                                | never                        | kept         |
 * | Pending, Succeeded, Failed, without an IPv4       | never                        | cut          |
 * | on the host network, and the address forbids it   | never                        | cut          |
 * | without the named target port                     | never, for this port         | kept         |
 *
 * "Newest" is the latest creation, then the greater uid; with maxSurge traffic thus moves over before the old pod is
 * told to stop. Terminating pods after ready ones: KEP-1669.
 */
export function desired(config: Config, nodeName: string, pods: Pod[]): DesiredState {
  const perAddress = config.addresses.map((address) => {
    const matching = pods.filter((pod) => pod.nodeName === nodeName && matches(address, pod));
    return {
      live: livePairs(address, matching),
      choices: address.ports.map((port) => choose(address, port, matching)),
    };
  });
  const choices = perAddress.flatMap(({ choices }) => choices);
  return {
    bindings: choices.map(({ binding }) => binding),
    live: distinctPairs(perAddress.flatMap(({ live }) => live)),
    problems: choices.flatMap(({ problem }) => (problem === undefined ? [] : [problem])),
  };
}

/** `169.254.210.210:8126/tcp`, the name of a binding in logs, messages and probes. */
export function bindingName({
  ipAddress,
  port,
  protocol,
}: Pick<Binding, "ipAddress" | "port" | "protocol">): string {
  return `${ipAddress}:${port}/${protocol}`;
}

/** A live pair as one text, to compare and to look up. */
export function pairName({ ipAddress, podIp }: LivePair): string {
  return `${ipAddress} ${podIp}`;
}

function matches(address: Address, pod: Pod): boolean {
  return pod.namespace === address.namespace && matchesSelector(address.requirements, pod.labels);
}

function choose(address: Address, port: Port, matching: Pod[]): { binding: Binding; problem?: Problem } {
  const binding = { ipAddress: address.ipAddress, protocol: port.protocol, port: port.port };
  const able = matching.filter((pod) => whyNotTarget(address, port, pod) === undefined);
  const pod = newest(able.filter(({ terminating }) => !terminating)) ?? newest(able);
  if (pod !== undefined) return { binding: { ...binding, target: targetOf(pod, port) } };
  const message = `${bindingName(binding)} has no target on this node: ${whyNone(address, port, matching)}`;
  return { binding: { ...binding, target: undefined }, problem: { code: "NO_TARGET", message } };
}

function newest(pods: Pod[]): Pod | undefined {
  return pods.toSorted((a, b) => compare(b.created, a.created) || compare(b.uid, a.uid))[0];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function targetOf(pod: Pod, port: Port): Target {
  const { namespace, name, uid } = pod;
  return { namespace, name, uid, ip: ipv4Of(pod) ?? "", port: portOn(pod, port) ?? 0 };
}

function whyNone(address: Address, port: Port, matching: Pod[]): string {
  if (matching.length === 0) return `no pod in ${address.namespace} matches ${address.selector}`;
  return matching.map((pod) => `${pod.namespace}/${pod.name} ${whyNotTarget(address, port, pod)}`).join(", ");
}

function whyNotTarget(address: Address, port: Port, pod: Pod): string | undefined {
  const notLive = whyNotLive(address, pod);
  if (notLive !== undefined) return notLive;
  if (!pod.ready) return "is not ready";
  if (portOn(pod, port) === undefined)
    return `has no ${port.protocol} container port named ${port.targetPort}`;
  return undefined;
}

function whyNotLive(address: Address, pod: Pod): string | undefined {
  if (pod.phase !== "Running") return `is ${pod.phase || "not scheduled"}`;
  if (pod.hostNetwork && !address.hostNetworkTargets)
    return "is on the host network, which hostNetworkTargets does not allow";
  if (ipv4Of(pod) === undefined) return "has no usable IPv4 address";
  return undefined;
}

function livePairs(address: Address, matching: Pod[]): LivePair[] {
  const live = matching.filter((pod) => whyNotLive(address, pod) === undefined);
  return live.map((pod) => ({ ipAddress: address.ipAddress, podIp: ipv4Of(pod) ?? "" }));
}

function distinctPairs(pairs: LivePair[]): LivePair[] {
  return [...new Map(pairs.map((pair) => [pairName(pair), pair])).values()];
}

/** Loopback, multicast and the like are refused: the status of a pod is input, and DNAT to 127/8 would reach the node. */
function ipv4Of(pod: Pod): string | undefined {
  return pod.ips.find((ip) => {
    const first = Math.floor((parseIpv4(ip) ?? 0) / 2 ** 24);
    return first > 0 && first !== 127 && first < 224;
  });
}

function portOn(pod: Pod, { targetPort, protocol }: Port): number | undefined {
  if (typeof targetPort === "number") return targetPort;
  return pod.namedPorts.find(({ name, protocol: of }) => name === targetPort && of === protocol)?.port;
}
