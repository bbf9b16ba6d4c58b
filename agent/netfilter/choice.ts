import type { Config } from "../config.ts";
import { desired } from "../desired.ts";
import type { NodeFacts } from "../node.ts";
import { ruleset } from "../ruleset/nftables.ts";
import type { Backend } from "./backend.ts";
import { type Command, CommandError, command } from "./command.ts";
import { detectFlavour, IptablesBackend } from "./iptables.ts";
import { NftablesBackend, type Transact } from "./nftables.ts";

/** A backend, and why it is this one. */
export interface BackendChoice {
  backend: Backend;
  reason: string;
}

/**
 * The backend that the configuration names; with `auto` nftables where this node's nft and kernel take these very rules,
 * else iptables where that works. Where nothing works it is nftables, whose failures then say what is missing.
 */
export async function chooseBackend(
  config: Config,
  node: NodeFacts,
  run: Command = command,
  transact?: Transact,
): Promise<BackendChoice> {
  const nftables = new NftablesBackend(run, { transact });
  if (config.backend === "nftables") return { backend: nftables, reason: "the configuration says so" };
  if (config.backend === "iptables") return await iptables(run);
  const fault = await attempt(() => run("nft", ["-c", "-f", "-"], ruleset(desired(config, node, []))));
  if (fault === undefined) return { backend: nftables, reason: "nft takes the rules" };
  const second = await iptables(run);
  const secondFault = await attempt(() => second.backend.instances());
  if (secondFault === undefined) return { ...second, reason: `${fault}; ${second.reason}` };
  return { backend: nftables, reason: `nothing works here: ${fault}; ${secondFault}` };
}

/** Everything that may have rules of ours on this node, for cleaning up. */
export async function everyBackend(run: Command = command): Promise<Backend[]> {
  const candidates = [
    new NftablesBackend(run),
    new IptablesBackend("nft", run),
    new IptablesBackend("legacy", run),
  ];
  const faults = await Promise.all(candidates.map((backend) => attempt(() => backend.instances())));
  const working = candidates.filter((_backend, index) => faults[index] === undefined);
  // When none works, the first one's error is what to tell.
  return working.length > 0 ? working : candidates.slice(0, 1);
}

async function iptables(run: Command): Promise<BackendChoice> {
  const { flavour, reason } = await detectFlavour(run);
  return { backend: new IptablesBackend(flavour, run), reason };
}

/** What went wrong, undefined when nothing did. */
async function attempt(action: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await action();
    return undefined;
  } catch (error) {
    if (error instanceof CommandError) return error.message;
    throw error;
  }
}
