import * as pulumi from "@pulumi/pulumi";
import { DEFAULT_NAMESPACE, type KnownAgent } from "./agentFaults";
import { type Known, toSpec } from "./faults";
import { type Subject, titleOf } from "./refusal";
import { Claims } from "./address/claims";
import { noSecrets, type Secrets, withoutTexts } from "./secrets";
import type { Fault } from "./address/fault";
import { parseIp } from "./address/ip";

/** An installation as the others of its program meet it. */
export interface Installed extends Subject {
  /** Tells clusters apart, as far as that is known. */
  cluster: string;
  known: Known;
  /** What no message may show of it, nor of another that conflicts with it. */
  secrets?: Secrets;
}

/** What programs of this process have installed, by run: the Automation API runs several of them. */
const runs = new WeakMap<object, Map<string, Installed>>();
/** A run's own key where Pulumi's plugin host makes its components, one by one. */
const hosted = new Map<string, object>();
/** By provider, the name of its cluster in this process. */
const clusters = new WeakMap<object, string>();
let count = 0;

/**
 * What identifies the run of the program that now is under way; undefined in unit tests with mocks, where one "run" may hold
 * the components of many tests.
 */
export function currentRun(): object | undefined {
  const monitor = pulumi.runtime.getMonitor() as { getChannel?(): { getTarget(): string } } | undefined;
  if (monitor?.getChannel === undefined) return undefined;
  const stack = pulumi.runtime.getStackResource();
  if (stack !== undefined) return stack;
  const key = `${monitor.getChannel().getTarget()} ${pulumi.runtime.isDryRun()}`;
  const run = hosted.get(key) ?? {};
  hosted.set(key, run);
  return run;
}

/**
 * Tells the component's cluster from others, as far as can be: two providers may be those of two clusters, the default
 * provider is that of one. The plugin host makes an object of its own for each mention of a provider; it has to be asked
 * for its URN, which is late.
 */
export function clusterOf(component: pulumi.ComponentResource): string | Promise<string> {
  const provider = component.getProvider("kubernetes:core/v1:Namespace");
  if (provider === undefined) return "default";
  // No Output: it would make the chart depend on the provider for one more reason.
  if (pulumi.runtime.getStackResource() === undefined)
    return new Promise((resolve) => provider.urn.apply(resolve));
  const cluster = clusters.get(provider) ?? `provider ${++count}`;
  clusters.set(provider, cluster);
  return cluster;
}

/**
 * What the installation claims that another one of the same run and cluster has claimed. One that is asked about again
 * replaces what it was before; two of one name are Pulumi's own error.
 */
export function conflicts(run: object | undefined, installed: Installed): Fault[] {
  if (run === undefined) return [];
  const all = runs.get(run) ?? new Map<string, Installed>();
  runs.set(run, all);
  const others = [...all.values()].filter(
    (other) => titleOf(other) !== titleOf(installed) && other.cluster === installed.cluster,
  );
  const faults = others.flatMap((other) =>
    [
      ...nameConflicts(installed, other),
      ...(mayShareNodes(installed, other)
        ? [...agentPortConflicts(installed, other), ...claimConflicts(installed, other)]
        : []),
    ].map((fault) => withoutTexts(fault, other.secrets ?? noSecrets)),
  );
  // One of the two is told; the other is in its right.
  if (faults.length === 0) all.set(`${titleOf(installed)} ${installed.cluster}`, installed);
  return faults;
}

/** Whether the run has an installation of this name in this namespace, of whatever cluster, so far. */
export function isInRun(run: object, namespace: string, name: string): boolean {
  const all = [...(runs.get(run)?.values() ?? [])];
  return all.some((other) => other.name === name && namespaceOf(other.known) === namespace);
}

let isTold = false;

/** Says once in a process that nothing is compared, where there is no engine whose run tells what belongs together. */
export function tellBlindness(run: object | undefined): void {
  if (run !== undefined || isTold) return;
  isTold = true;
  void pulumi.log.debug(
    "There is no Pulumi engine, as in unit tests with mocks: components are not compared with each other, nor with the stack's state",
  );
}

function nameConflicts({ name, known }: Installed, other: Installed): Fault[] {
  const [mine, theirs] = [namespaceOf(known), namespaceOf(other.known)];
  if (mine === undefined || mine !== theirs) return [];
  const taken = `"${name}" in the namespace ${mine} is the name of ${titleOf(other)} too: choose another name or agent.namespace`;
  const made = `${titleOf(other)} makes the namespace ${mine} already: set it for one of them only`;
  const bothMake = known.agent?.createNamespace === true && other.known.agent?.createNamespace === true;
  return [
    ...(name === other.name ? [{ path: "name", reason: taken }] : []),
    ...(bothMake ? [{ path: "agent.createNamespace", reason: made }] : []),
  ];
}

/** All agents of a node share its loopback. */
function agentPortConflicts({ known }: Installed, other: Installed): Fault[] {
  const theirs = agentPorts(other.known.agent);
  return agentPorts(known.agent).flatMap(({ field, port }) => {
    const taken = theirs.find((each) => each.port === port);
    if (taken === undefined) return [];
    const reason = `${port} is the ${taken.field} of ${titleOf(other)}, on the same nodes: choose another port`;
    return [{ path: `agent.${field}`, reason }];
  });
}

function agentPorts({ healthPort, metricsPort }: KnownAgent = {}): { field: string; port: number }[] {
  const all = [
    { field: "healthPort", port: healthPort },
    { field: "metricsPort", port: metricsPort },
  ];
  return all.flatMap(({ field, port }) => (port === undefined ? [] : [{ field, port }]));
}

/** What is not known has no IP, and takes nothing. */
function claimConflicts({ known }: Installed, other: Installed): Fault[] {
  const claims = new Claims();
  const claim = (installation: Known, at: (path: string) => string, before = 0) =>
    (installation.addresses ?? []).flatMap((known, index) => {
      const address = toSpec(known, before + index);
      if (parseIp(address.ipAddress) === undefined) return [];
      return claims.faultsOf(address, at(`addresses[${index}]`));
    });
  claim(other.known, (path) => `${titleOf(other)}, ${path}`);
  // Counted on from the other's addresses: the stand-ins of the two differ.
  return claim(known, (path) => path, other.known.addresses?.length).flatMap(({ path, reason }) => {
    const [before, after] = reason.split(`${titleOf(other)}, `);
    // What an installation takes twice is a fault of its own.
    if (after === undefined) return [];
    return [{ path, reason: `${before}${titleOf(other)}, ${other.pathOf(after)}` }];
  });
}

/** Nodes with one value of a label are not those with another; who chooses nodes in other words is left alone. */
function mayShareNodes(one: Installed, other: Installed): boolean {
  const [mine, theirs] = [nodesOf(one.known), nodesOf(other.known)];
  if (mine === undefined || theirs === undefined) return false;
  return Object.entries(mine).every(([label, value]) => (theirs[label] ?? value) === value);
}

function nodesOf({ agent = {}, values = {} }: Known): Record<string, string> | undefined {
  const inOtherWords = Object.hasOwn(values, "affinity");
  const labels = agent.nodeSelector ?? {};
  const isHidden =
    Object.hasOwn(agent, "nodeSelector") && (agent.nodeSelector === undefined || hasHidden(labels));
  return inOtherWords || isHidden ? undefined : (labels as Record<string, string>);
}

function hasHidden(labels: Record<string, unknown>): boolean {
  return Object.values(labels).includes(undefined);
}

/** Undefined while it is not known. */
export function namespaceOf({ agent = {} }: Known): string | undefined {
  return Object.hasOwn(agent, "namespace") ? agent.namespace : DEFAULT_NAMESPACE;
}
