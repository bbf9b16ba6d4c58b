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

/** The input of a pass. */
export interface Pass {
  config: Config;
  node: NodeFacts;
  pods: Pod[];
  /** The bindings of other installations on this node. */
  claims: Claim[];
  /** The state that the pass before left in the kernel; undefined at the start. */
  last: DesiredState | undefined;
  /** Whether the last look at the kernel still found that state. */
  intact: boolean;
  /** Whether changes that could wait are written, too. */
  settle: boolean;
  /** Absent: all pods are known. */
  knowledge?: Knowledge | undefined;
}

/** One pass from pods to kernel. It writes only where the desired state differs or a foreign change must be undone. */
export async function reconcile(pass: Pass, backend: Pick<Backend, "write">): Promise<Sync> {
  const { config, node, pods, claims, last, intact, settle, knowledge } = pass;
  const state = desired(config, node, pods, rivals(config.instance, last, claims), knowledge);
  const difference = last === undefined ? "urgent" : news(last, state);
  if (intact && last !== undefined && (difference === "none" || (difference === "waits" && !settle))) {
    // The state in the kernel, with the problems of now.
    return { state: { ...last, problems: state.problems }, outcome: "same" };
  }
  await backend.write(state);
  return { state, outcome: difference === "none" ? "repaired" : "changed" };
}

/**
 * The claims that have priority over ours. Two installations that start at the same moment may both hold a port. The
 * name decides which one keeps it; without that, both would remove their rules and write them again without end.
 */
function rivals(instance: string, last: DesiredState | undefined, claims: Claim[]): Claim[] {
  if (last === undefined || claims.length === 0) return claims;
  const held = Map.groupBy(last.bindings, ({ ipAddress }) => ipAddress);
  const isHeld = (claim: Claim) =>
    held.get(claim.ipAddress)?.some((binding) => overlap(binding, claim)) ?? false;
  return claims.filter((claim) => claim.instance < instance || !isHeld(claim));
}

/**
 * How `after` differs from what the kernel holds. `waits`: only pods joined the live set; every binding has the same
 * targets, and no pod left. A new live pod has no flows before it is a target. A transaction for it would only delay
 * the one that makes it a target, because pods often become ready milliseconds after they run. The first sync after
 * the next inspection writes it.
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

/**
 * Most unchanged bindings are the same object. Two addresses may share an IP, each with live pods of its own: a pod
 * that left one of them makes the bindings differ, a pod that joined does not.
 */
function sameBinding(a: Binding, b: Binding | undefined): boolean {
  if (a === b) return true;
  const isKept = a.live.every((podIp) => b?.live.includes(podIp));
  return isKept && JSON.stringify({ ...a, live: [] }) === JSON.stringify({ ...b, live: [] });
}
