import type { V1Pod } from "@kubernetes/client-node";
import { type Api, ApiError } from "./api.ts";
import type { Fields } from "./json.ts";
import type { Pod } from "./pod.ts";

/** One namespace, and a selector or none: one list, then one watch. */
export interface Interest {
  namespace: string;
  selector: string | undefined;
  /** What of its pods is read, and what is kept of that. */
  shape: Fields;
  read(pod: V1Pod): Pod;
}

/** Pods by uid. */
export type Known = Map<string, Pod>;

/**
 * Pods of one selector that are kept, more than a kubelet runs (110 by default, some hundreds at most): of pods that have
 * ended, and of those that the kubelet does not take, there may be as many as somebody makes.
 */
const mostPods = 1_000;

/** Pods of a page: no answer is then longer than what the API server can make in a moment. */
const pageLength = 100;

/** Pages of one list; a server that goes on after them does not end. */
const mostPages = 1_000;

/** Milliseconds for a page, which may have 100 pods of 9 MB. */
const pageTime = 120_000;

/** How often a list may lose its continuation before it has failed. */
const mostBeginnings = 3;

export function podsPath({ namespace }: Interest): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`;
}

export function selection({ selector }: Interest, nodeName: string): Record<string, string> {
  const fieldSelector = `spec.nodeName=${nodeName}`;
  return selector === undefined ? { fieldSelector } : { fieldSelector, labelSelector: selector };
}

/** Where no more are kept, a pod that runs takes the place of one that does not. */
export function keep(known: Known, pod: Pod): void {
  if (known.size >= mostPods && !known.has(pod.uid)) {
    const [idle] =
      pod.phase === "Running" ? [...known.values()].filter(({ phase }) => phase !== "Running") : [];
    if (idle === undefined) return;
    known.delete(idle.uid);
  }
  known.set(pod.uid, pod);
}

/** The pods of the node, page by page. @throws {ApiError}, {JsonError} or a network error */
export async function list(api: Api, interest: Interest, nodeName: string, signal?: AbortSignal) {
  for (let beginning = 1; ; beginning++) {
    const pods: Known = new Map();
    try {
      return { pods, version: await readPages(api, interest, nodeName, pods, signal) };
    } catch (error) {
      // Of a later page; the version of all of them is too old by now.
      const isLost = isExpired(error) && pods.size > 0;
      if (!isLost || beginning === mostBeginnings) throw error;
    }
  }
}

interface Page {
  kind?: string;
  metadata?: { resourceVersion?: string; continue?: string };
  /** Some servers say null for none. */
  items?: V1Pod[] | null;
}

/** Returns the version of them all. */
async function readPages(
  api: Api,
  interest: Interest,
  nodeName: string,
  pods: Known,
  signal: AbortSignal | undefined,
): Promise<string> {
  const shape = pageShape(interest.shape);
  const query = { ...selection(interest, nodeName), limit: pageLength };
  let version = "";
  let token: string | undefined;
  for (let page = 0; page < mostPages; page++) {
    const until = AbortSignal.any([AbortSignal.timeout(pageTime), ...(signal ? [signal] : [])]);
    const asked = token === undefined ? query : { ...query, continue: token };
    const { kind, metadata, items } = await api.get<Page>(podsPath(interest), asked, until, shape);
    // What stands between may answer 200 with an object of its own, which would pass for a list of no pods.
    if (kind !== "PodList") throw new Error(`the API server answered with kind ${kind}, not with a PodList`);
    for (const item of items ?? []) keep(pods, interest.read(item));
    version ||= metadata?.resourceVersion ?? "";
    token = metadata?.continue;
    if (!token) return version;
  }
  throw new Error(`the list of pods has more than ${mostPages} pages`);
}

function pageShape(pod: Fields): Fields {
  const metadata = { fields: { resourceVersion: "text" as const, continue: "text" as const } };
  return { fields: { kind: "text" as const, metadata, items: { items: pod, most: pageLength * 10 } } };
}

/** 410 Gone: the watch, or the list's next page, cannot go on where it was (etcd compaction): all is listed again. */
export function isExpired(error: unknown): boolean {
  return error instanceof ApiError && error.status === 410;
}
