import * as pulumi from "@pulumi/pulumi";
import { DEFAULT_NAMESPACE, type KnownAgent } from "./agentFaults";
import { type Known, toSpec } from "./faults";
import { type Subject, titleOf } from "./refusal";
import { Claims } from "./address/claims";
import { noSecrets, type Secrets, withoutTexts } from "./secrets";
import type { Fault } from "./address/fault";
import { parseIp } from "./address/ip";

/** An installation as it is compared with the others of the same program. */
export interface Installed extends Subject {
  /** A key of the installation's cluster (see `clusterOf`). */
  cluster: string;
  known: Known;
  /** Values that no message may show, neither this installation's nor that of one that conflicts with it. */
  secrets?: Secrets;
}

/** The installations of each run: with the Automation API one process runs several programs. */
const runs = new WeakMap<object, Map<string, Installed>>();
/** The keys of `runs`, by monitor and dry run, where Pulumi's plugin host constructs components one by one. */
const hosted = new Map<string, object>();
/** The name that this process gives to each provider's cluster. */
const clusters = new WeakMap<object, string>();
let count = 0;

/**
 * An object that identifies the program's current run; undefined in unit tests with mocks, where one "run" may hold the
 * components of many tests.
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
 * A key of the component's cluster. Two providers may belong to two clusters, so each has its own key; components with
 * the default provider share one. The plugin host makes a new object for each mention of a provider, so there the key
 * is the provider's URN, which is known only later.
 */
export function clusterOf(component: pulumi.ComponentResource): string | Promise<string> {
  const provider = component.getProvider("kubernetes:core/v1:Namespace");
  if (provider === undefined) return "default";
  // A promise, not an Output: an Output would add one more dependency of the chart on the provider.
  if (pulumi.runtime.getStackResource() === undefined)
    return new Promise((resolve) => provider.urn.apply(resolve));
  const cluster = clusters.get(provider) ?? `provider ${++count}`;
  clusters.set(provider, cluster);
  return cluster;
}

/**
 * The faults of what another installation of the same run and cluster has claimed before. A second call for an
 * installation replaces its earlier entry; Pulumi itself refuses two components of one name.
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
  // Only the later of two gets the fault: an installation with faults is not recorded, so it blocks no other.
  if (faults.length === 0) all.set(`${titleOf(installed)} ${installed.cluster}`, installed);
  return faults;
}

/** Whether the run has so far an installation of this name in this namespace, in any cluster. */
export function isInRun(run: object, namespace: string, name: string): boolean {
  const all = [...(runs.get(run)?.values() ?? [])];
  return all.some((other) => other.name === name && namespaceOf(other.known) === namespace);
}

let isTold = false;

/** Logs, once per process, that nothing is compared when there is no engine and so no run. */
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

/** The agents of a node share its loopback, so their ports must differ. */
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

/** An address whose IP is not known claims nothing. */
function claimConflicts({ known }: Installed, other: Installed): Fault[] {
  const claims = new Claims();
  const claim = (installation: Known, at: (path: string) => string, before = 0) =>
    (installation.addresses ?? []).flatMap((known, index) => {
      const address = toSpec(known, before + index);
      if (parseIp(address.ipAddress) === undefined) return [];
      return claims.faultsOf(address, at(`addresses[${index}]`));
    });
  claim(other.known, (path) => `${titleOf(other)}, ${path}`);
  // The index continues after the other's addresses, so that the stand-ins of the two differ.
  return claim(known, (path) => path, other.known.addresses?.length).flatMap(({ path, reason }) => {
    const [before, after] = reason.split(`${titleOf(other)}, `);
    // Two equal claims of one installation are a fault of that installation alone.
    if (after === undefined) return [];
    return [{ path, reason: `${before}${titleOf(other)}, ${other.pathOf(after)}` }];
  });
}

/**
 * Whether both may run on one node: not when they select different values of one label. An installation that selects
 * nodes by affinity, or by labels that are not known, is not compared.
 */
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

/** The agent's namespace; undefined while it is not known. */
export function namespaceOf({ agent = {} }: Known): string | undefined {
  return Object.hasOwn(agent, "namespace") ? agent.namespace : DEFAULT_NAMESPACE;
}
