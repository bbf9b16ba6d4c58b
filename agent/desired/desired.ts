import { matchesSelector } from "../../component/address/selector.ts";
import type { Address, Config, Port } from "../config/config.ts";
import type { NodeFacts } from "./node.ts";
import type { Pod, Sight } from "../kubernetes/pod.ts";
import { chooseTargets, livePodIps, withoutIps, withOwnIps } from "./target.ts";
import {
  type Binding,
  bindingName,
  type Claim,
  type DesiredState,
  type Family,
  familyOf,
  type Frontend,
  type HeldRules,
  type LivePair,
  type Masquerade,
  overlap,
  pairName,
  type Problem,
} from "./state.ts";

/** Which pods are known, and the existing rules for addresses whose pods are unknown. */
export interface Knowledge {
  sight: Sight;
  held: HeldRules;
}

/** Every address sees every pod. */
const complete: Knowledge = {
  sight: { knows: () => true, sees: () => true },
  held: { targets: new Map(), live: [] },
};

/**
 * The desired state, computed only from the configuration, the node and its pods: the same pods give the same state,
 * whatever the state before was, so a relist never moves a target. Bindings that another installation has are left to
 * it. An address whose pods are unknown keeps the rules that the kernel has.
 * Unchanged bindings stay the same objects while the objects of the configuration and of the pods stay the same.
 */
export function desired(
  config: Config,
  node: NodeFacts,
  pods: Pod[],
  claims: Claim[] = [],
  { sight, held } = complete,
): DesiredState {
  const magicIps = new Set(config.addresses.flatMap(({ ipAddresses }) => ipAddresses));
  const onNode = pods.filter(({ nodeName }) => nodeName === node.name);
  const here = withOwnIps(withoutIps(onNode, magicIps));
  const matching = matchingPods(config, here, sight);
  const answers = config.addresses.map((address) =>
    sight.knows(address) ? answer(address, matching.get(address) ?? []) : heldAnswer(address, held),
  );
  const all = answers.flatMap(({ bindings }) => bindings);
  const conflicts = claims.length === 0 ? [] : conflictsOf(all, claims);
  const state = {
    instance: config.instance,
    hostClients: config.hostClients,
    uplinks: config.outsideGuard ? node.uplinks : undefined,
    ...(config.outsideGuard && node.uplinkIndexes && { uplinkIndexes: node.uplinkIndexes }),
    ...(node.tcpLoose === false && { tcpLoose: false }),
    masquerade: { ipv4: masquerade(config, node, "ipv4"), ipv6: masquerade(config, node, "ipv6") },
    bindings: all,
    live: distinctPairs(answers.flatMap(({ live }) => live)),
    problems: answers.flatMap(({ problems }) => problems),
  };
  const own = conflicts.length === 0 ? state : without(conflicts, state);
  const neighbours = claims.length === 0 ? [] : neighboursOf(own.bindings, claims);
  return neighbours.length === 0 ? own : { ...own, neighbours };
}

interface Answer {
  bindings: Binding[];
  live: LivePair[];
  problems: Problem[];
}

const remembered = new WeakMap<Address, { matching: Pod[]; answer: Answer }>();

/** Reuses the last answer for the same pods: of a thousand addresses, usually one has other pods than before. */
function answer(address: Address, matching: Pod[]): Answer {
  const known = remembered.get(address);
  if (known !== undefined && sameItems(known.matching, matching)) return known.answer;
  const answer = newAnswer(address, matching);
  remembered.set(address, { matching, answer });
  return answer;
}

function sameItems<T>(a: T[], b: T[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

function newAnswer(address: Address, matching: Pod[]): Answer {
  const { ipAddresses, loadBalance, whenNoTarget } = address;
  const perIp = ipAddresses.map((ipAddress) => {
    const family = familyOf(ipAddress);
    const podIps = livePodIps(address, family, matching);
    const choices = frontends(address, ipAddress).map(({ frontend, port }) => {
      const { targets, reason } = chooseTargets(address, port, family, matching);
      return { binding: { ...frontend, targets, loadBalance, whenNoTarget, live: podIps }, reason };
    });
    return { choices, live: podIps.map((podIp) => ({ ipAddress, podIp })) };
  });
  const choices = perIp.flatMap(({ choices }) => choices);
  return {
    bindings: choices.map(({ binding }) => binding),
    live: perIp.flatMap(({ live }) => live),
    problems: choices.flatMap(({ binding, reason }) =>
      reason === undefined ? [] : [noTarget(binding, reason)],
    ),
  };
}

/** The answer for an address whose pods are unknown: it keeps the existing rules. */
function heldAnswer(address: Address, held: HeldRules): Answer {
  const { namespace, selector, ipAddresses, loadBalance, whenNoTarget } = address;
  const bindings = ipAddresses.flatMap((ipAddress) =>
    frontends(address, ipAddress).map(({ frontend }): Binding => {
      const places = held.targets.get(bindingName(frontend)) ?? [];
      const targets = places
        .slice(0, loadBalance ? undefined : 1)
        .map((place) => ({ namespace, name: "(not listed)", uid: "", ...place }));
      const live = held.live.flatMap((pair) => (pair.ipAddress === ipAddress ? pair.podIp : []));
      return { ...frontend, targets, loadBalance, whenNoTarget, live };
    }),
  );
  const message = (name: string) =>
    `${name} goes on as it was, because the pods in ${namespace} that match ${selector} could not be listed yet`;
  return {
    bindings,
    live: held.live.filter(({ ipAddress }) => ipAddresses.includes(ipAddress)),
    problems: bindings.map(bindingName).map((name) => ({
      ...{ code: "UNKNOWN_PODS", binding: name, message: message(name) },
    })),
  };
}

/** All frontends of a configuration, independent of the node and its pods. */
export function frontendsOf({ addresses }: Config): Frontend[] {
  return addresses.flatMap((address) =>
    address.ipAddresses.flatMap((ipAddress) => frontends(address, ipAddress).map(({ frontend }) => frontend)),
  );
}

function frontends(address: Address, ipAddress: string): { frontend: Frontend; port: Port | undefined }[] {
  if (address.ports.length === 0) {
    return [{ frontend: { ipAddress, protocol: undefined, port: 0, endPort: 65535 }, port: undefined }];
  }
  return address.ports.map((port) => ({
    frontend: { ipAddress, protocol: port.protocol, port: port.port, endPort: port.endPort },
    port,
  }));
}

function noTarget(binding: Binding, reason: string): Problem {
  const name = bindingName(binding);
  return { code: "NO_TARGET", binding: name, message: `${name} has no target on this node: ${reason}` };
}

const memberships = new WeakMap<Pod, { config: Config; addresses: Address[] }>();

/** Compares a pod's labels with the selectors only once. */
function addressesOf(config: Config, pod: Pod): Address[] {
  const known = memberships.get(pod);
  if (known?.config === config) return known.addresses;
  const addresses = config.addresses.filter(
    (address) => pod.namespace === address.namespace && matchesSelector(address.requirements, pod.labels),
  );
  memberships.set(pod, { config, addresses });
  return addresses;
}

function matchingPods(config: Config, pods: Pod[], sight: Sight): Map<Address, Pod[]> {
  const matching = new Map<Address, Pod[]>();
  for (const pod of pods) {
    for (const address of addressesOf(config, pod)) {
      if (!sight.sees(address, pod)) continue;
      const others = matching.get(address);
      if (others === undefined) matching.set(address, [pod]);
      else others.push(pod);
    }
  }
  return matching;
}

function conflictsOf(bindings: Binding[], claims: Claim[]): Problem[] {
  const byIp = Map.groupBy(claims, ({ ipAddress }) => ipAddress);
  return bindings.flatMap((binding) => {
    const claim = byIp.get(binding.ipAddress)?.find((other) => overlap(binding, other));
    if (claim === undefined) return [];
    const name = bindingName(binding);
    const message = `${name} belongs to the installation ${claim.instance} on this node, which has ${bindingName(claim)}: it keeps it until it gives it up; if it is installed no more, run "cleanup --instance ${claim.instance}" on the node`;
    return [{ code: "CONFLICT", binding: name, message }];
  });
}

/** Sorted by name, so that the same neighbours always give the same list. */
function neighboursOf(bindings: Binding[], claims: Claim[]): Frontend[] {
  const ips = new Set(bindings.map(({ ipAddress }) => ipAddress));
  const frontends = claims
    .filter(({ ipAddress }) => ips.has(ipAddress))
    .map(({ ipAddress, protocol, port, endPort }): Frontend => ({ ipAddress, protocol, port, endPort }));
  const byName = new Map(frontends.map((frontend) => [bindingName(frontend), frontend]));
  return [...byName.keys()].sort().flatMap((name) => byName.get(name) ?? []);
}

/** The state without the bindings that belong to another installation. */
function without(conflicts: Problem[], state: DesiredState): DesiredState {
  const lost = new Set(conflicts.map(({ binding }) => binding));
  const bindings = state.bindings.filter((binding) => !lost.has(bindingName(binding)));
  const owned = new Set(bindings.map(({ ipAddress }) => ipAddress));
  const live = state.live.filter(({ ipAddress }) => owned.has(ipAddress));
  const others = state.problems.filter(({ binding }) => !lost.has(binding));
  return { ...state, bindings, live, problems: [...conflicts, ...others] };
}

/** Without br_netfilter the answer of a bridged pod to a bridged pod bypasses netfilter and is not translated back. */
function masquerade(config: Config, node: NodeFacts, family: Family): Masquerade {
  if (config.masquerade === "always") return "always";
  return node.bridgeNetfilter[family] ? "hairpin" : "bridged";
}

function distinctPairs(pairs: LivePair[]): LivePair[] {
  return [...new Map(pairs.map((pair) => [pairName(pair), pair])).values()];
}
