import type { Config } from "./config.ts";
import { type Binding, type Claim, type DesiredState, desired, pairName } from "./desired.ts";
import { type Flow, type FlowQuery, flowQueries, staleFlows } from "./flows.ts";
import type { NodeFacts } from "./node.ts";
import type { Pod } from "./pod.ts";

/** The rules of the node's kernel, as one pass sees them. */
export interface Rules {
  /** Brings them to this state. */
  write(state: DesiredState): Promise<void>;
}

/** The flows of the node's kernel. */
export interface Flows {
  flows(query: FlowQuery): Promise<Flow[]>;
  end(flow: Flow): Promise<void>;
}

export interface Sync {
  /** What is in the kernel now. */
  state: DesiredState;
  /** `changed`: the desired state; `repaired`: somebody else's hands were at the rules; `same`: nothing was done. */
  outcome: "changed" | "repaired" | "same";
}

/** What a pass starts from. */
export interface Pass {
  config: Config;
  node: NodeFacts;
  pods: Pod[];
  /** What other installations have on this node. */
  claims: Claim[];
  /** What the pass before left in the kernel; none at the start. */
  last: DesiredState | undefined;
  /** Whether the kernel still held that when it was last looked at. */
  intact: boolean;
  /** Whether what could wait is written, too. */
  settle: boolean;
}

/**
 * One pass from pods to kernel. The kernel is only written to where the desired state, or what somebody else did to our
 * rules, asks for it.
 */
export async function reconcile(pass: Pass, rules: Rules): Promise<Sync> {
  const { config, node, pods, claims, last, intact, settle } = pass;
  const state = desired(config, node, pods, claims);
  const isSame = last !== undefined && sameRules(last, state);
  if (intact && last !== undefined && (isSame || (!settle && canWait(last, state)))) {
    // What is in the kernel, with what can be said of it now.
    return { state: { ...last, problems: state.problems }, outcome: "same" };
  }
  await rules.write(state);
  return { state, outcome: isSame ? "repaired" : "changed" };
}

/**
 * Ends the flows that must not go on; returns how many kinds of them there were. It comes after the commit, because
 * before it a deleted flow would come back with its old target.
 */
export async function endStaleFlows(state: DesiredState, kernel: Flows): Promise<number> {
  const flows: Flow[] = [];
  for (const query of flowQueries(state)) flows.push(...(await kernel.flows(query)));
  const stale = staleFlows(flows, state);
  for (const flow of stale) await kernel.end(flow);
  return stale.length;
}

/**
 * Whether the kernel need not know yet: every binding leads where it did, and no pod left the live set. A new pod in it
 * has no flows before it is a target; a transaction for it (30 ms) would only hold up the one that makes it so, because
 * pods often become ready milliseconds after they run. The next inspection brings it in.
 */
function canWait(before: DesiredState, after: DesiredState): boolean {
  if (!sameFrame(before, after)) return false;
  const pairs = new Set(after.live.map(pairName));
  return before.live.every((pair) => pairs.has(pairName(pair)));
}

function sameRules(before: DesiredState, after: DesiredState): boolean {
  return sameFrame(before, after) && before.live.length === after.live.length && canWait(before, after);
}

function sameFrame(before: DesiredState, after: DesiredState): boolean {
  const settings = ({ hostClients, uplinks, masquerade }: DesiredState) =>
    JSON.stringify([hostClients, uplinks, masquerade]);
  return (
    before.bindings.length === after.bindings.length &&
    before.bindings.every((binding, index) => sameBinding(binding, after.bindings[index])) &&
    settings(before) === settings(after)
  );
}

/** Mostly they are one object. */
function sameBinding(a: Binding, b: Binding | undefined): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
