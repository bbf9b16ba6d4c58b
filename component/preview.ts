import * as pulumi from "@pulumi/pulumi";
import type { KnownAgent } from "./agentFaults";
import type { Known } from "./faults";
import { installationShape } from "./installationShape";
import { examine, isRecord } from "./shape";
import { withStandIns } from "./standIns";
import type { Installation } from "./values";

// A helm.v4.Chart with one unknown input has no objects at all: the preview of a first installation would be empty, and
// that of a later one would announce that everything is deleted. So unknown values get a stand-in at a preview.

/** The installation that a preview shows, and the paths of the arguments that it replaces or leaves out. */
export interface Preview {
  installation: Installation;
  unknown: string[];
}

/**
 * Like `output.apply`, but also called while parts of the value are unknown; `pulumi.isUnknown` is true for those. The
 * result is known unless it contains unknowns itself.
 */
export function applyToKnown<T>(
  output: pulumi.Output<unknown>,
  use: (value: unknown) => unknown,
): pulumi.Output<T> {
  // Pulumi's type leaves out `runWithUnknowns` (sdk/nodejs/output.ts).
  const { apply } = output as unknown as {
    apply(use: (value: unknown) => unknown, runWithUnknowns: boolean): pulumi.Output<T>;
  };
  return apply.call(output, use, true);
}

/** The installation without unknowns: values that the chart needs get a stand-in, others are left out. */
export function previewOf(args: unknown): Preview {
  const { plain, unchecked } = examine(args, installationShape);
  const known = plain as Known;
  const isOpen = isAllowanceOpen(known);
  const installation = {
    addresses: withStandIns(known.addresses ?? [undefined]),
    agent: previewedAgent(known, isOpen),
    values: known.values,
  };
  return {
    installation: withoutUnknowns(installation) as Installation,
    unknown: [
      ...unchecked,
      ...(isOpen && !unchecked.some((path) => path.startsWith("agent.allowedCidrs"))
        ? ["agent.allowedCidrs"]
        : []),
      ...(pulumi.containsUnknowns(known.values) ? ["values"] : []),
    ],
  };
}

/** Whether allowedCidrs are given and an IP or a block is not known: the chart then cannot check the IPs. */
function isAllowanceOpen({ addresses = [undefined], agent }: Known): boolean {
  const blocks = agent?.allowedCidrs ?? [];
  return blocks.length > 0 && (blocks.includes(undefined) || addresses.some((each) => !each?.ipAddress));
}

/**
 * The agent with stand-ins for unknown ports: the chart refuses a PodMonitor without a metricsPort, and one port for
 * both of the agent's listeners.
 */
function previewedAgent({ values, ...known }: Known, isOpen: boolean): KnownAgent {
  const { agent } = known;
  const isHidden = (field: keyof KnownAgent) => agent !== undefined && isUndefinedIn(agent, field);
  const { healthPort, metricsPort, ...others } = agent ?? {};
  const hasMonitor = isRecord(values?.podMonitor) && values.podMonitor.enabled === true;
  return {
    ...others,
    ...(isOpen && { allowedCidrs: undefined }),
    healthPort: isHidden("healthPort") ? otherThan(metricsPort, 61000) : healthPort,
    metricsPort:
      isHidden("metricsPort") || (hasMonitor && isUndefinedIn(known, "agent"))
        ? otherThan(healthPort, 9091)
        : metricsPort,
  };
}

/** Whether the field is given but not known: a field that is left out has no key. */
function isUndefinedIn<T extends object>(value: T, field: keyof T): boolean {
  return Object.hasOwn(value, field) && value[field] === undefined;
}

/** The port, or the next one where it is taken. */
function otherThan(taken: number | undefined, port: number): number {
  return port === taken ? port + 1 : port;
}

function withoutUnknowns(value: unknown): unknown {
  const isKnown = (part: unknown) => part !== undefined && !pulumi.isUnknown(part);
  if (Array.isArray(value)) return value.filter(isKnown).map(withoutUnknowns);
  // Values may hold Pulumi's assets, which are no plain objects.
  if (!isRecord(value) || Object.getPrototypeOf(value) !== Object.prototype) return value;
  const known = Object.entries(value).filter(([, part]) => isKnown(part));
  return Object.fromEntries(known.map(([key, part]) => [key, withoutUnknowns(part)]));
}
