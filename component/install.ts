import { Namespace } from "@pulumi/kubernetes/core/v1/namespace";
import { Chart } from "@pulumi/kubernetes/helm/v4";
import * as pulumi from "@pulumi/pulumi";
import type { Agent } from "./agent";
import { DEFAULT_NAMESPACE } from "./agentFaults";
import type { Address } from "./args";
import { chartDirectory } from "./chartDirectory";
import { clusterOf, conflicts, currentRun } from "./conflicts";
import { argumentFaults, knownOf } from "./faults";
import { applyToKnown, KNOWN_LATER, previewOf } from "./preview";
import { refuse, type Subject } from "./refusal";
import { isRecord } from "./shape";
import { chartValues, type Installation } from "./values";

/** An installation's arguments, known or not. */
export interface InstallationArgs {
  addresses: pulumi.Input<pulumi.Input<Address>[]>;
  agent?: pulumi.Input<Agent>;
  skipAwait?: pulumi.Input<boolean>;
  values?: pulumi.Input<pulumi.Inputs>;
}

/**
 * Installs the chart as a part of the component, once what only then is known is found right; returns the namespace.
 * Release and DaemonSet have the component's name, so that no later change of code renames the installation.
 */
export function installChart(
  component: pulumi.ComponentResource,
  subject: Subject,
  args: InstallationArgs,
): pulumi.Output<string> {
  const { name } = subject;
  const installation = checked(component, subject, args);
  const agentNamespace = applyToKnown<string>(pulumi.output(args.agent), (agent) =>
    pulumi.isUnknown(agent) ? agent : ((isRecord(agent) ? agent.namespace : undefined) ?? DEFAULT_NAMESPACE),
  );
  const namespace = shown(agentNamespace, KNOWN_LATER);
  const inputs = {
    ...{ chart: chartDirectory(), name, namespace },
    skipAwait: shown(pulumi.output(args.skipAwait), false),
    values: installation.apply((known) => chartValues(name, known)),
  };
  const dependsOn = installation.apply(({ agent }) =>
    agent?.createNamespace === true ? [makeNamespace(component, name, namespace)] : [],
  );
  new Chart(name, inputs, { parent: component, dependsOn });
  return agentNamespace;
}

/** The arguments when they are known and right; at a preview those that are not known have stand-ins. */
function checked(
  component: pulumi.ComponentResource,
  subject: Subject,
  args: InstallationArgs,
): pulumi.Output<Installation> {
  const [run, cluster] = [currentRun(), clusterOf(component)];
  const check = (installation: unknown, where: string) => {
    refuse(subject, argumentFaults(subject, installation));
    refuse(subject, conflicts(run, { ...subject, cluster: where, known: knownOf(installation) }));
  };
  // At once, where it can be: an error of the constructor leads to the line of the program.
  if (typeof cluster === "string") check(args, cluster);
  return applyToKnown<Installation>(pulumi.output(args), async (installation) => {
    check(installation, await cluster);
    if (!pulumi.runtime.isDryRun() || !pulumi.containsUnknowns(installation)) return installation;
    const preview = previewOf(installation);
    await pulumi.log.info(
      `Not known before the update, so the preview shows something in its place or leaves it out: ${preview.unknown.map(subject.pathOf).join(", ")}`,
      component,
    );
    return preview.installation;
  });
}

/** The value, at a preview with something in its place while it is not known. */
function shown<T>(output: pulumi.Output<T>, standIn: T): pulumi.Output<T> {
  return applyToKnown<T>(output, (value) =>
    pulumi.isUnknown(value) && pulumi.runtime.isDryRun() ? standIn : value,
  );
}

function makeNamespace(
  component: pulumi.ComponentResource,
  name: string,
  namespace: pulumi.Output<string>,
): Namespace {
  // The agent is on the host network with CAP_NET_ADMIN, which Pod Security's other levels refuse.
  const labels = { "pod-security.kubernetes.io/enforce": "privileged" };
  return new Namespace(name, { metadata: { name: namespace, labels } }, { parent: component });
}
