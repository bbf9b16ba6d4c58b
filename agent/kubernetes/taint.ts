import { setTimeout as delay } from "node:timers/promises";
import type { V1Node, V1Taint } from "@kubernetes/client-node";
import type { Logger } from "pino";
import { type Api, ApiError } from "./api.ts";

/** Keeps pods from a new node until its addresses work. The chart's admission policy names it too. */
export const startupTaint = "magic-ip-address/agent-not-ready";

/** What `endStartup` works with. */
export interface TaintParts {
  api: Api;
  nodeName: string;
  /** Whether the node's addresses work. */
  isReady(): boolean;
  log: Logger;
}

/** Milliseconds: between two checks of the readiness; after a failed removal, doubling up to `longest`. */
const intervals = { look: 200, retry: 1_000, longest: 30_000 };

/**
 * Removes the taint from this agent's own node once, as soon as the addresses work there. The agent never sets it
 * again: pods that run on the node stay, and a new taint would only keep others away. Failures are retried until the
 * signal aborts.
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
 * Whether there was such a taint. The patch replaces the whole list of taints, and only while it is as it was read: if
 * another program changed it in between, the API server refuses the patch, and it is made again from the new list.
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

/** A JSON patch (RFC 6902). It removes the field where no taint is left, as kubectl does. */
function replacement(taints: V1Taint[], others: V1Taint[]) {
  const path = "/spec/taints";
  const change = others.length > 0 ? { op: "replace", path, value: others } : { op: "remove", path };
  return [{ op: "test", path, value: taints }, change];
}

/** 422: the patch's test failed (the API server reports it in no other way); 409: the object changed meanwhile. */
function isOvertaken(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 422 || error.status === 409);
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch(() => undefined);
}
