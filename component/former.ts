import * as pulumi from "@pulumi/pulumi";
import { isRecord } from "./shape";
import { canonicalIp } from "./address/ip";

/** A DaemonSet of one of our components, as the stack's state has it. */
export interface FormerAgents {
  namespace: string;
  name: string;
  /** Whether all its agents were ready when Pulumi last read its status. */
  ready: boolean;
  /** The magic IPs of its component. */
  ips: string[];
}

/** A component that is compared with the state: its name, its IPs, and which installations this run has. */
export interface Newcomer {
  namespace: string;
  name: string;
  ips: string[];
  /** Whether an installation is in this run of the program. */
  isInRun(agents: FormerAgents): boolean;
}

/** The stack's state before this update, by run. */
const states = new WeakMap<object, Promise<FormerAgents[]>>();

/**
 * The DaemonSets of our components in the stack's state before this update. Pulumi creates every resource before it
 * deletes any, so all of them exist while new agents start. When the state cannot be read the list is empty, and a
 * debug line says so.
 */
export async function formerAgents(run: object): Promise<FormerAgents[]> {
  const known = states.get(run) ?? readState();
  states.set(run, known);
  return known;
}

/**
 * The installation that keeps the newcomer's agents from being ready: it is in the state, but no longer in the program,
 * and holds one of the newcomer's IPs until its DaemonSet is deleted, which is after the newcomer's is ready. Such an
 * installation remains when a component gets another name or another `agent.namespace`.
 */
export function holderOf(newcomer: Newcomer, former: FormerAgents[]): FormerAgents | undefined {
  const isOwn = ({ namespace, name }: FormerAgents) =>
    namespace === newcomer.namespace && name === newcomer.name;
  if (former.some((agents) => isOwn(agents) && agents.ready)) return undefined;
  return former.find(
    (agents) =>
      !isOwn(agents) && !newcomer.isInRun(agents) && agents.ips.some((ip) => newcomer.ips.includes(ip)),
  );
}

/** The engine's answer for each resource, by URN. */
type Resources = Record<string, { outputs?: Record<string, unknown> }>;

/**
 * An engine function like that of StackReference, for a stack's resources (pulumi, pkg/resource/deploy/builtins.go).
 */
const token = "pulumi:pulumi:readStackResourceOutputs";

async function readState(): Promise<FormerAgents[]> {
  try {
    const answer: unknown = await pulumi.runtime.invoke(token, { stackName: pulumi.getStack() });
    return agentsIn(((isRecord(answer) && answer.outputs) || {}) as Resources);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    await pulumi.log.debug(
      `The stack's state cannot be read, so it is not known whether an installation is renamed: ${why}`,
    );
    return [];
  }
}

const component = /::(?:[^:]|:(?!:))*magic-ip-address:index:MagicIpAddress(?:es)?::(?<name>[^:]+)$/;
const daemonSet =
  /magic-ip-address:index:MagicIpAddress(?:es)?\$kubernetes:helm\.sh\/v4:Chart\$kubernetes:apps\/v1:DaemonSet::(?<release>[^:]+):(?<namespace>[^/]+)\/(?<name>.+)$/;

/** Our DaemonSets among the resources. */
export function agentsIn(resources: Resources): FormerAgents[] {
  const all = Object.entries(resources);
  const ips = new Map(
    all.flatMap(([urn, { outputs = {} }]) => {
      const { name } = component.exec(urn)?.groups ?? {};
      return name === undefined ? [] : [[name, ipsIn(outputs)] as const];
    }),
  );
  return all.flatMap(([urn, { outputs = {} }]) => {
    const { release, namespace, name } = daemonSet.exec(urn)?.groups ?? {};
    if (release === undefined || namespace === undefined || name === undefined) return [];
    return [{ namespace, name, ready: isReady(outputs.status), ips: ips.get(release) ?? [] }];
  });
}

/** The IPs of a component's `endpoints`: `ip:port`, `[ip]:port` or `ip`. */
function ipsIn({ endpoints }: Record<string, unknown>): string[] {
  if (!isRecord(endpoints)) return [];
  const hosts = Object.values(endpoints).map((endpoint) =>
    String(endpoint).replace(/^\[(.*)\].*$|^([^:]*):\d+$/, "$1$2"),
  );
  return [...new Set(hosts.map(canonicalIp))];
}

function isReady(status: unknown): boolean {
  if (!isRecord(status)) return false;
  const { numberReady = 0, desiredNumberScheduled = 0 } = status as Record<string, number>;
  return desiredNumberScheduled > 0 && numberReady >= desiredNumberScheduled;
}
