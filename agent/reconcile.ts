import type { Config } from "./config.ts";
import { type DesiredState, desired, pairName } from "./desired.ts";
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
  state: DesiredState;
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

/** What a pass starts from. */
export interface Pass {
  config: Config;
  nodeName: string;
  pods: Pod[];
  /** What the pass before left in the kernel; none at the start. */
  last: Applied | undefined;
  /** Whether the kernel is asked if it still holds that, at the cost of a command. */
  verify: boolean;
}

/**
 * One pass from pods to kernel. The kernel is only written to where the desired state, or what somebody else did to our
 * table, asks for it.
 */
export async function reconcile(
  { config, nodeName, pods, last, verify }: Pass,
  kernel: Kernel,
): Promise<Sync> {
  const state = desired(config, nodeName, pods);
  const text = ruleset(config.instance, state);
  if (last !== undefined && !verify && canWait(last.state, state))
    return { state, applied: last, outcome: "same" };
  if (text === last?.ruleset && (await kernel.list(config.instance)) === last.listing) {
    return { state, applied: last, outcome: "same" };
  }
  await kernel.apply(text);
  const listing = await kernel.list(config.instance);
  const outcome = text === last?.ruleset ? "repaired" : "changed";
  return { state, applied: { state, ruleset: text, listing }, outcome };
}

/**
 * Whether the kernel need not know yet: every binding leads where it did, and no pod left the live set. A new pod in it
 * has no flows before it is a target; a transaction for it (30 ms) would only hold up the one that makes it so, because
 * pods often become ready milliseconds after they run. The next inspection brings it in.
 */
function canWait(before: DesiredState, after: DesiredState): boolean {
  const pairs = new Set(after.live.map(pairName));
  const sameBindings = JSON.stringify(before.bindings) === JSON.stringify(after.bindings);
  return sameBindings && before.live.every((pair) => pairs.has(pairName(pair)));
}

/**
 * Ends the flows that must not go on; returns how many kinds of them there were. It comes after the commit, because
 * before it a deleted flow would come back with its old target.
 */
export async function endStaleFlows(state: DesiredState, kernel: Kernel): Promise<number> {
  const ipAddresses = [...new Set(state.bindings.map(({ ipAddress }) => ipAddress))];
  const stale = staleFlows(await kernel.flows(ipAddresses), state);
  for (const flow of stale) await kernel.endFlows(flow);
  return stale.length;
}
