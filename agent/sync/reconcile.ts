import type { Config } from "../config/config.ts";
import { desired, type Knowledge } from "../desired/desired.ts";
import {
  type Binding,
  type Claim,
  type DesiredState,
  overlap,
  pairName,
  sameSettings,
  type Sync,
} from "../desired/state.ts";
import type { NodeFacts } from "../desired/node.ts";
import type { Backend } from "../kernel.ts";
import type { Pod } from "../kubernetes/pod.ts";

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
  /** Absent: all pods are known. */
  knowledge?: Knowledge | undefined;
}

/**
 * One pass from pods to kernel. The kernel is only written to where the desired state, or what somebody else did to our
 * rules, asks for it.
 */
export async function reconcile(pass: Pass, backend: Pick<Backend, "write">): Promise<Sync> {
  const { config, node, pods, claims, last, intact, settle, knowledge } = pass;
  const state = desired(config, node, pods, rivals(config.instance, last, claims), knowledge);
  const difference = last === undefined ? "urgent" : news(last, state);
  if (intact && last !== undefined && (difference === "none" || (difference === "waits" && !settle))) {
    // What is in the kernel, with what can be said of it now.
    return { state: { ...last, problems: state.problems }, outcome: "same" };
  }
  await backend.write(state);
  return { state, outcome: difference === "none" ? "repaired" : "changed" };
}

/**
 * The claims that come before ours. Two installations that came at the same moment hold a port both: one of them has to
 * keep it, or both would give it up and take it again for ever.
 */
function rivals(instance: string, last: DesiredState | undefined, claims: Claim[]): Claim[] {
  if (last === undefined || claims.length === 0) return claims;
  const held = Map.groupBy(last.bindings, ({ ipAddress }) => ipAddress);
  const isHeld = (claim: Claim) =>
    held.get(claim.ipAddress)?.some((binding) => overlap(binding, claim)) ?? false;
  return claims.filter((claim) => claim.instance < instance || !isHeld(claim));
}

/**
 * What of a state the kernel does not know. `waits`: only pods that joined the live set; every binding leads where it did,
 * and no pod left. A new pod in it has no flows before it is a target; a transaction for it would only hold up the one
 * that makes it so, because pods often become ready milliseconds after they run. The next inspection brings it in.
 */
function news(before: DesiredState, after: DesiredState): "none" | "waits" | "urgent" {
  const sameBindings =
    before.bindings.length === after.bindings.length &&
    before.bindings.every((binding, index) => sameBinding(binding, after.bindings[index]));
  if (!sameBindings || !sameSettings(before, after)) return "urgent";
  const pairs = new Set(after.live.map(pairName));
  if (!before.live.every((pair) => pairs.has(pairName(pair)))) return "urgent";
  return before.live.length === after.live.length ? "none" : "waits";
}

/** Most of them are one object. Of two addresses with one IP each has pods of its own: one that left is news. */
function sameBinding(a: Binding, b: Binding | undefined): boolean {
  if (a === b) return true;
  const isKept = a.live.every((podIp) => b?.live.includes(podIp));
  return isKept && JSON.stringify({ ...a, live: [] }) === JSON.stringify({ ...b, live: [] });
}
