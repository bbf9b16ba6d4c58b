import { existsSync } from "node:fs";
import { join } from "node:path";
import { Chart } from "@pulumi/kubernetes/helm/v4";
import * as pulumi from "@pulumi/pulumi";
import type { AddressArgs, AgentArgs } from "./args";
import { chartValues } from "./values";

/** An installation's arguments, known or not. */
export interface InstallationArgs {
  addresses: pulumi.Input<pulumi.Input<AddressArgs>[]>;
  agent?: pulumi.Input<AgentArgs>;
  values?: pulumi.Input<pulumi.Inputs>;
}

/**
 * Installs the chart as a part of the component, once `check` has passed what only then is known; returns the namespace.
 * Release and DaemonSet have the component's name, so that no later change of code renames the installation.
 */
export function installChart(
  component: pulumi.ComponentResource,
  name: string,
  args: InstallationArgs,
  check: (args: unknown) => void,
): pulumi.Output<string> {
  const namespace = pulumi.output(args.agent).apply((agent) => agent?.namespace ?? "kube-system");
  const values = pulumi.output(args).apply((installation) => {
    check(installation);
    return chartValues(name, installation);
  });
  new Chart(name, { chart: chartDirectory(), name, namespace, values }, { parent: component });
  return namespace;
}

/** The chart stands beside the sources, also when it is the compiled component, in dist/component, that looks for it. */
function chartDirectory(): string {
  const places = [join(__dirname, "chart"), join(__dirname, "..", "..", "component", "chart")];
  const found = places.find((place) => existsSync(join(place, "Chart.yaml")));
  if (found !== undefined) return found;
  throw new Error(`magic-ip-address: its Helm chart is missing: neither in ${places.join(" nor in ")}`);
}
