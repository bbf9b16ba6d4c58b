import { setTimeout as delay } from "node:timers/promises";
import type { V1Node, V1Taint } from "@kubernetes/client-node";
import type { Logger } from "pino";
import { type Api, ApiError } from "./api.ts";

/** Keeps pods from a new node until its addresses work. The chart's admission policy names it too. */
export const startupTaint = "magic-ip-address/agent-not-ready";

/** What the removal works with. */
export interface TaintParts {
  api: Api;
  nodeName: string;
  /** Whether the node's addresses work. */
  isReady(): boolean;
  log: Logger;
}

/** Milliseconds: between two looks at the readiness, and after a failed removal, doubling. */
const intervals = { look: 200, retry: 1_000, longest: 30_000 };

/**
 * Takes the taint from this agent's own node as soon as the addresses work there, once: who has been let onto the node
 * stays on it, and a taint that came back would only keep others away. Failures are retried until the signal aborts.
 */
export async function endStartup({ api, nodeName, isReady, log }: TaintParts, signal: AbortSignal) {
  let wait = intervals.retry;
  while (!signal.aborted) {
    if (!isReady()) {
      await pause(intervals.look, signal);
      continue;
    }
    try {
      if (await removeTaint(api, nodeName, signal))
        log.info(`the node has the taint ${startupTaint} no longer`);
      return;
    } catch (error) {
      if (signal.aborted) return;
      const reason = error instanceof Error ? error.message : String(error);
      log.warn(`the node's taint ${startupTaint} could not be removed, pods are kept from it: ${reason}`);
      await pause(wait, signal);
      wait = Math.min(wait * 2, intervals.longest);
    }
  }
}

/**
 * Whether there was one. The list of taints is replaced as a whole, and only while it is as it was read: somebody else's
 * change in between is not lost, but makes the API server refuse ours, which is then made anew.
 * @throws {ApiError} or a network error
 */
export async function removeTaint(api: Api, nodeName: string, signal: AbortSignal): Promise<boolean> {
  const path = `/api/v1/nodes/${encodeURIComponent(nodeName)}`;
  for (let attempt = 1; ; attempt++) {
    const node = await api.get<V1Node>(path, {}, signal);
    const taints = node.spec?.taints ?? [];
    const others = taints.filter(({ key }) => key !== startupTaint);
    if (others.length === taints.length) return false;
    try {
      await api.patch(path, replacement(taints, others), signal);
      return true;
    } catch (error) {
      if (!isOvertaken(error) || attempt === 5) throw error;
    }
  }
}

/** RFC 6902. Removed where none is left, as kubectl does. */
function replacement(taints: V1Taint[], others: V1Taint[]) {
  const path = "/spec/taints";
  const change = others.length > 0 ? { op: "replace", path, value: others } : { op: "remove", path };
  return [{ op: "test", path, value: taints }, change];
}

/** 422: the test did not hold (the API server does not say it otherwise); 409: the object changed meanwhile. */
function isOvertaken(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 422 || error.status === 409);
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch(() => undefined);
}
