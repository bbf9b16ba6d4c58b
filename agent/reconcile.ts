import type { Config } from "./config.ts";
import { type DesiredState, desired } from "./desired.ts";
import { type Flow, staleFlows } from "./flows.ts";
import type { Pod } from "./pod.ts";
import { ruleset } from "./ruleset/nftables.ts";

/** The node's kernel, as one pass sees it. */
export interface Kernel {
  apply(ruleset: string): Promise<void>;
  /** Our table as the kernel has it, undefined when there is none. */
  list(instance: string): Promise<string | undefined>;
  flows(ipAddresses: string[]): Promise<Flow[]>;
  endFlows(flow: Flow): Promise<void>;
}

/** What the last pass put into the kernel. */
export interface Applied {
  ruleset: string;
  /** The table as the kernel listed it right after. */
  listing: string | undefined;
}

export interface Sync {
  state: DesiredState;
  applied: Applied;
  /** `changed`: the desired state; `repaired`: somebody else's hands were at the table; `same`: nothing was done. */
  outcome: "changed" | "repaired" | "same";
}

/**
 * One pass from pods to kernel. The kernel is only written to where the desired state or the table changed; the flows
 * are looked at after the commit, because before it a deleted one would come back with its old target.
 */
export async function reconcile(
  config: Config,
  nodeName: string,
  pods: Pod[],
  kernel: Kernel,
  last: Applied | undefined,
): Promise<Sync> {
  const state = desired(config, nodeName, pods);
  const text = ruleset(config.instance, state);
  const same = text === last?.ruleset;
  if (same && (await kernel.list(config.instance)) === last.listing)
    return { state, applied: last, outcome: "same" };

  await kernel.apply(text);
  const listing = await kernel.list(config.instance);
  return { state, applied: { ruleset: text, listing }, outcome: same ? "repaired" : "changed" };
}

/** Ends the flows that must not go on; returns how many kinds of them there were. */
export async function endStaleFlows(state: DesiredState, kernel: Kernel): Promise<number> {
  const ipAddresses = [...new Set(state.bindings.map(({ ipAddress }) => ipAddress))];
  const stale = staleFlows(await kernel.flows(ipAddresses), state);
  for (const flow of stale) await kernel.endFlows(flow);
  return stale.length;
}
