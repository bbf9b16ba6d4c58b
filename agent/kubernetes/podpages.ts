import type { V1Pod } from "@kubernetes/client-node";
import { type Api, ApiError } from "./api.ts";
import type { Fields } from "./json.ts";
import type { Pod } from "./pod.ts";

/** One namespace with a selector or none; it needs one list, then one watch. */
export interface Interest {
  namespace: string;
  selector: string | undefined;
  /** The parts of a pod that are read, and the conversion to what is kept. */
  shape: Fields;
  read(pod: V1Pod): Pod;
}

/** Pods by uid. */
export type Known = Map<string, Pod>;

/**
 * Pods of one selector that are kept: more than a kubelet runs (110 by default, some hundreds at most). Pods that have
 * ended and pods that the kubelet rejects have no such limit: their owners may create any number.
 */
const mostPods = 1_000;

/** Pods of a page; few enough that the API server can produce the answer in a moment. */
const pageLength = 100;

/** Pages of one list; a list with more pages fails, because the server may never end it. */
const mostPages = 1_000;

/** Milliseconds for a page, which may have 100 pods of 9 MB. */
const pageTime = 120_000;

/** How often a list is begun, if its continuation expires, before it fails. */
const mostBeginnings = 3;

export function podsPath({ namespace }: Interest): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`;
}

export function selection({ selector }: Interest, nodeName: string): Record<string, string> {
  const fieldSelector = `spec.nodeName=${nodeName}`;
  return selector === undefined ? { fieldSelector } : { fieldSelector, labelSelector: selector };
}

/** Keeps the pod. At the limit, a running pod replaces one that does not run; any other new pod is dropped. */
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
      // A later page failed: the version of the whole list is too old by now.
      const isLost = isExpired(error) && pods.size > 0;
      if (!isLost || beginning === mostBeginnings) throw error;
    }
  }
}

interface Page {
  kind?: string;
  metadata?: { resourceVersion?: string; continue?: string };
  /** Some servers write null for an empty list. */
  items?: V1Pod[] | null;
}

/** Reads all pages into `pods`; returns the version of the list. */
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
    // A proxy may answer 200 with an object of its own, which would look like a list without pods.
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

/** 410 Gone: a watch or a next page cannot continue from its version (etcd compaction); all pods are listed again. */
export function isExpired(error: unknown): boolean {
  return error instanceof ApiError && error.status === 410;
}
