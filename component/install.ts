import { Namespace } from "@pulumi/kubernetes/core/v1/namespace";
import { Chart } from "@pulumi/kubernetes/helm/v4";
import * as pulumi from "@pulumi/pulumi";
import type { Agent } from "./agent";
import { DEFAULT_NAMESPACE } from "./agentFaults";
import type { Address } from "./args";
import { chartDirectory } from "./chartDirectory";
import { clusterOf, conflicts, currentRun, isInRun, namespaceOf, tellBlindness } from "./conflicts";
import { doubts } from "./doubts";
import { argumentFaults, type Known, knownOf } from "./faults";
import { formerAgents, holderOf } from "./former";
import { applyToKnown, previewOf } from "./preview";
import { refuse, type Subject, titleOf } from "./refusal";
import { noSecrets, type Secrets, secretsIn, veiled, withoutTexts } from "./secrets";
import { isRecord } from "./shape";
import type { Fault } from "./address/fault";
import { canonicalIp } from "./address/ip";
import { KNOWN_LATER } from "./standIns";
import { chartValues, type Installation } from "./values";

/** An installation's arguments, known or not. */
export interface InstallationArgs {
  addresses: pulumi.Input<pulumi.Input<Address>[]>;
  agent?: pulumi.Input<Agent>;
  skipAwait?: pulumi.Input<boolean>;
  values?: pulumi.Input<pulumi.Inputs>;
}

/**
 * Installs the chart as a child of the component, once all arguments are known and checked; returns the namespace.
 * Release and DaemonSet have the component's name, so that no later change of code renames the installation.
 */
export function installChart(
  component: pulumi.ComponentResource,
  subject: Subject,
  args: InstallationArgs,
  { customTimeouts }: pulumi.ComponentResourceOptions = {},
): pulumi.Output<string> {
  const { name } = subject;
  const { installation, isHeld } = checked(component, subject, args);
  const agentNamespace = applyToKnown<string>(pulumi.output(args.agent), (agent) =>
    pulumi.isUnknown(agent) ? agent : ((isRecord(agent) ? agent.namespace : undefined) ?? DEFAULT_NAMESPACE),
  );
  const namespace = shown(agentNamespace, KNOWN_LATER);
  const skipAwait = shown(pulumi.output(args.skipAwait), false);
  const inputs = {
    ...{ chart: chartDirectory(), name, namespace },
    skipAwait: pulumi.all([skipAwait, isHeld]).apply(([skip, held]) => (held ? true : skip)),
    values: installation.apply((known) => chartValues(name, known)),
  };
  const dependsOn = installation.apply(({ agent }) =>
    agent?.createNamespace === true ? [makeNamespace(component, name, namespace, customTimeouts)] : [],
  );
  new Chart(name, inputs, { parent: component, dependsOn, ...timed(customTimeouts) });
  return agentNamespace;
}

/** Options that pass the component's timeouts to its resources, which Pulumi does not do (pulumi/pulumi#9822). */
function timed(customTimeouts: pulumi.CustomTimeouts | undefined): pulumi.ComponentResourceOptions {
  if (customTimeouts === undefined) return {};
  const transform: pulumi.ResourceTransform = ({ custom, props, opts }) => {
    if (!custom) return undefined;
    // A timeout that the resource does not set arrives as an empty string.
    const own = Object.entries(opts.customTimeouts ?? {}).filter(([, timeout]) => timeout);
    return { props, opts: { ...opts, customTimeouts: { ...customTimeouts, ...Object.fromEntries(own) } } };
  };
  return { transforms: [transform] };
}

/** The arguments once they are known and right, and whether another installation keeps the agents from being ready. */
interface Checked {
  installation: pulumi.Output<Installation>;
  isHeld: pulumi.Output<boolean>;
}

/** Checks the arguments. At a preview, arguments that are not known get stand-ins. */
function checked(component: pulumi.ComponentResource, subject: Subject, args: InstallationArgs): Checked {
  const [run, cluster] = [currentRun(), clusterOf(component)];
  tellBlindness(run);
  const check = (installation: unknown, where: string, secrets = noSecrets) => {
    const veil = (fault: Fault) => veiled(fault, secrets);
    const known = knownOf(installation);
    refuse(subject, argumentFaults(subject, installation).map(veil));
    refuse(subject, conflicts(run, { ...subject, cluster: where, known, secrets }).map(veil));
    return known;
  };
  // Checked at once where the cluster is known: an error that the constructor throws leads to the program's line.
  if (typeof cluster === "string") check(args, cluster);
  const judged = applyToKnown<{ installation: Installation; isHeld: boolean }>(
    pulumi.output(args),
    async (installation) => {
      const secrets = await secretsIn(args, installation);
      const known = check(installation, await cluster, secrets);
      await tellDoubts(component, subject, known, secrets);
      const isHeld = run !== undefined && (await isHeldByFormer(component, subject, known, run, secrets));
      return { installation: await previewed(component, subject, installation), isHeld };
    },
  );
  return {
    installation: judged.apply(({ installation }) => installation),
    isHeld: pulumi.unsecret(judged.apply(({ isHeld }) => isHeld)),
  };
}

async function tellDoubts(
  component: pulumi.ComponentResource,
  { pathOf }: Subject,
  known: Known,
  secrets: Secrets,
): Promise<void> {
  for (const doubt of doubts(known)) {
    const { path, reason } = withoutTexts(doubt, secrets);
    await pulumi.log.warn(`${pathOf(path)}: ${reason}`, component);
  }
}

/**
 * Whether a former installation holds one of the IPs; it then also warns that the update does not wait for the agents.
 */
async function isHeldByFormer(
  component: pulumi.ComponentResource,
  subject: Subject,
  known: Known,
  run: object,
  secrets: Secrets,
): Promise<boolean> {
  const namespace = namespaceOf(known);
  const ips = (known.addresses ?? []).flatMap((address) => [address?.ipAddress, address?.ipv6Address]);
  if (namespace === undefined) return false;
  const holder = holderOf(
    {
      ...{
        namespace,
        name: subject.name,
        ips: ips.flatMap((ip) => (ip === undefined ? [] : canonicalIp(ip))),
      },
      isInRun: (agents) => isInRun(run, agents.namespace, agents.name),
    },
    await formerAgents(run),
  );
  if (holder === undefined) return false;
  const reason = `${titleOf(subject)} does not wait for its agents in this update: they are ready when the DaemonSet ${holder.namespace}/${holder.name}, which is no more in the program and has the same IP, is deleted at the end. The next update waits`;
  await pulumi.log.warn(withoutTexts({ path: "", reason }, secrets).reason, component);
  return true;
}

async function previewed(
  component: pulumi.ComponentResource,
  subject: Subject,
  installation: unknown,
): Promise<Installation> {
  if (!pulumi.runtime.isDryRun() || !pulumi.containsUnknowns(installation))
    return installation as Installation;
  const preview = previewOf(installation);
  await pulumi.log.info(
    `Not known before the update, so the preview shows something in its place or leaves it out: ${preview.unknown.map(subject.pathOf).join(", ")}`,
    component,
  );
  return preview.installation;
}

/** The value; at a preview, the stand-in while the value is not known. */
function shown<T>(output: pulumi.Output<T>, standIn: T): pulumi.Output<T> {
  return applyToKnown<T>(output, (value) =>
    pulumi.isUnknown(value) && pulumi.runtime.isDryRun() ? standIn : value,
  );
}

function makeNamespace(
  component: pulumi.ComponentResource,
  name: string,
  namespace: pulumi.Output<string>,
  customTimeouts: pulumi.CustomTimeouts | undefined,
): Namespace {
  // The agent is on the host network with CAP_NET_ADMIN, which Pod Security's other levels refuse.
  const labels = { "pod-security.kubernetes.io/enforce": "privileged" };
  return new Namespace(
    name,
    { metadata: { name: namespace, labels } },
    { parent: component, customTimeouts },
  );
}
