import type { Fault } from "./address/fault";

/**
 * The chart's values that the component has an argument for. The component's outputs and its comparison with other
 * components read only the arguments: a value beside them would install something that these do not know.
 */
const argumentsOfValues: Record<string, string> = {
  ...Object.fromEntries(
    [
      ...[
        "imagePullSecrets",
        "pollInterval",
        "verbose",
        "healthPort",
        "metricsPort",
        "backend",
        "hostClients",
      ],
      ...["outsideGuard", "masquerade", "startupTaint", "allowedCidrs", "tolerations", "nodeSelector"],
      ...["priorityClassName", "resources", "updateStrategy", "podLabels", "podAnnotations"],
    ].map((name) => [name, `agent.${name}`]),
  ),
  image: "agent.image, and its pullPolicy as agent.imagePullPolicy",
  addresses: "addresses",
};

/** The faults of values that set what an argument sets, or remove it with null. */
export function valuesFaults(values: Record<string, unknown> = {}, alone = false): Fault[] {
  return Object.entries(values).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const reason = reasonOf(name, alone);
    return reason === undefined ? [] : [{ path: `values.${name}`, reason }];
  });
}

function reasonOf(name: string, alone: boolean): string | undefined {
  if (name === "fullnameOverride")
    return "cannot be set: the component's own name is that of the DaemonSet, and its output says so";
  if (name === "addresses" && alone)
    return "cannot be set: write ipAddress, selector and ports beside values, or take MagicIpAddresses";
  if (!Object.hasOwn(argumentsOfValues, name)) return undefined;
  return `cannot be set: write it as ${argumentsOfValues[name]}`;
}
