import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import { desired } from "../desired/desired.ts";
import type { NodeFacts } from "../desired/node.ts";
import { parsePods } from "../kubernetes/podlist.ts";
import { ruleset } from "../ruleset/nftables/table.ts";
import {
  loadConfig,
  type Options,
  readText,
  type Surroundings,
  type Terminal,
  UsageError,
} from "./terminal.ts";

interface PlanOptions extends Options {
  pods: string;
  uplink?: string;
}

export function addPlan(command: Command, surroundings: Surroundings): void {
  command
    .description("print the ruleset for a configuration and a list of pods; needs neither a cluster nor root")
    .requiredOption("-p, --pods <file>", "pods as `kubectl get pods -o yaml` (or json) prints them")
    .option("-n, --node <name>", "the node to plan for (default: the only one that the pods are on)")
    .option("-u, --uplink <interface>", "the node's interface to the outside (default: eth0)")
    .action(async (options: PlanOptions) =>
      plan(await loadConfig(options, surroundings.env), options, surroundings),
    );
}

async function plan(config: Config, options: PlanOptions, { out, err }: Terminal): Promise<void> {
  const pods = parsePods(await readText(options.pods), options.pods);
  const name = options.node ?? onlyNode(pods.map((pod) => pod.nodeName));
  const state = desired(config, plannedNode(name, options.uplink), pods);
  out(ruleset(state));
  for (const { message } of state.problems) err(`${message}\n`);
}

/** The facts of a typical node; the agent reads those of its own. */
function plannedNode(name: string, uplink = "eth0"): NodeFacts {
  return { name, uplinks: [uplink], bridgeNetfilter: { ipv4: true, ipv6: true } };
}

function onlyNode(nodeNames: string[]): string {
  const [first = "", ...others] = [...new Set(nodeNames)];
  if (others.length === 0) return first;
  throw new UsageError(
    `the pods are on several nodes: say for which to plan with --node (${[first, ...others].join(", ")})`,
  );
}
