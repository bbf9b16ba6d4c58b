import { Backend, ImagePullPolicy, Masquerade, UpdateStrategyType } from "./agent";
import { parseImage } from "./image";
import { shown } from "./shown";
import type { Fault } from "./address/fault";
import { namespacePattern } from "./address/patterns";

/** The agent's arguments, as far as they are known. */
export interface KnownAgent {
  namespace?: string;
  createNamespace?: boolean;
  image?: string;
  imagePullPolicy?: string;
  pollInterval?: number;
  healthPort?: number;
  metricsPort?: number;
  backend?: string;
  masquerade?: string;
  allowedCidrs?: (string | undefined)[];
  tolerations?: ({ operator?: string; effect?: string } | undefined)[];
  nodeSelector?: Record<string, string | undefined>;
  updateStrategy?: { type?: string; maxUnavailable?: string | number };
}

/** The agent's namespace when the arguments name none. */
export const DEFAULT_NAMESPACE = "kube-system";

/** Namespaces that every cluster has. */
const systemNamespaces = ["default", "kube-node-lease", "kube-public", DEFAULT_NAMESPACE];

const operators = { Exists: "Exists", Equal: "Equal" };
const effects = {
  NoSchedule: "NoSchedule",
  PreferNoSchedule: "PreferNoSchedule",
  NoExecute: "NoExecute",
};

/** The faults of the agent's arguments. */
export function agentFaults(agent: KnownAgent = {}): Fault[] {
  const check = checkOf("agent");
  return [
    ...check(
      "namespace",
      agent.namespace,
      (value) => namespacePattern.test(value),
      'no namespace: at most 63 lower-case letters, digits and "-", as kube-system',
    ),
    ...check(
      "image",
      agent.image,
      (value) => parseImage(value) !== undefined,
      "no image: write repository[:tag][@sha256:digest], as magic-ip-address-agent:0.1.0",
    ),
    ...check(
      "imagePullPolicy",
      agent.imagePullPolicy,
      oneOf(ImagePullPolicy),
      "no pull policy: write Always, IfNotPresent or Never",
    ),
    ...check(
      "pollInterval",
      agent.pollInterval,
      wholeUpTo(86400),
      "no interval: write a whole number of seconds from 1 to 86400",
    ),
    ...check("backend", agent.backend, oneOf(Backend), "no backend: write auto, nftables or iptables"),
    ...check("masquerade", agent.masquerade, oneOf(Masquerade), "no way to masquerade: write auto or always"),
    ...createNamespaceFaults(agent),
    ...agentPortFaults(agent),
    ...tolerationFaults(agent),
    ...updateStrategyFaults(agent),
  ];
}

function createNamespaceFaults({ namespace = DEFAULT_NAMESPACE, createNamespace }: KnownAgent): Fault[] {
  if (createNamespace !== true || !systemNamespaces.includes(namespace)) return [];
  const reason = `every cluster has the namespace ${namespace} already: set agent.namespace to a new one, or leave createNamespace out`;
  return [{ path: "agent.createNamespace", reason }];
}

function agentPortFaults({ healthPort, metricsPort }: KnownAgent): Fault[] {
  const check = checkOf("agent");
  const complaint = "not a port: write a whole number from 1 to 65535";
  const same = metricsPort !== undefined && metricsPort === healthPort;
  const reason = `${metricsPort} is the agent's healthPort too: choose another for one of them`;
  return [
    ...check("healthPort", healthPort, wholeUpTo(65535), complaint),
    ...check("metricsPort", metricsPort, wholeUpTo(65535), complaint),
    ...(same ? [{ path: "agent.metricsPort", reason }] : []),
  ];
}

function tolerationFaults({ tolerations = [] }: KnownAgent): Fault[] {
  return tolerations.flatMap((toleration, index) => {
    const check = checkOf(`agent.tolerations[${index}]`);
    return [
      ...check("operator", toleration?.operator, oneOf(operators), "no operator: write Exists or Equal"),
      ...check(
        "effect",
        toleration?.effect,
        oneOf(effects),
        "no effect of a taint: write NoSchedule, PreferNoSchedule or NoExecute",
      ),
    ];
  });
}

function updateStrategyFaults({ updateStrategy = {} }: KnownAgent): Fault[] {
  const { type, maxUnavailable } = updateStrategy;
  const check = checkOf("agent.updateStrategy");
  const path = "agent.updateStrategy.maxUnavailable";
  const reason = "is set beside type OnDelete, which replaces no pod by itself: leave one of them out";
  return [
    ...check("type", type, oneOf(UpdateStrategyType), "no update strategy: write RollingUpdate or OnDelete"),
    ...check(
      "maxUnavailable",
      maxUnavailable,
      // The API server refuses 0: without a surge no pod could ever be replaced.
      (value) => /^([1-9]\d*|[1-9]\d?%|100%)$/.test(String(value)),
      "no number of nodes: write one, from 1, or a share of them, as 10%",
    ),
    ...(type === UpdateStrategyType.OnDelete && maxUnavailable !== undefined ? [{ path, reason }] : []),
  ];
}

/** Returns a check of one field of the argument at `path`; a value that is not known has no fault. */
function checkOf(path: string) {
  return <T>(
    field: string,
    value: T | undefined,
    isRight: (value: T) => boolean,
    complaint: string,
  ): Fault[] =>
    value === undefined || isRight(value)
      ? []
      : [{ path: `${path}.${field}`, reason: `${shown(value)} is ${complaint}` }];
}

function oneOf(words: Record<string, string>): (value: string) => boolean {
  return (value) => Object.values(words).includes(value);
}

function wholeUpTo(maximum: number): (value: number) => boolean {
  return (value) => Number.isInteger(value) && value >= 1 && value <= maximum;
}
