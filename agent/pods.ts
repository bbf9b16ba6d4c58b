import { setTimeout as delay } from "node:timers/promises";
import type { V1Pod, V1PodList } from "@kubernetes/client-node";
import { type Api, ApiError } from "./api.ts";
import type { Config } from "./config.ts";
import { type Pod, podFromApi } from "./pod.ts";

/** The pods of this node that the addresses may lead to, kept in step with the API server. */
export interface PodSource {
  /** What is known now; undefined until every selector was listed once. */
  pods(): Pod[] | undefined;
}

/** Told of every change, and of trouble with what is listed and watched (its path), and of the end of it (undefined). */
export interface PodListener {
  changed(): void;
  trouble(source: string, message: string | undefined): void;
}

interface WatchEvent {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  object: V1Pod & { code?: number; message?: string };
}

/** One namespace and selector: one list, then one watch. */
interface Interest {
  namespace: string;
  selector: string;
}

/**
 * Lists, then watches, the pods of the node for each namespace and selector until the signal aborts. A watch resumes
 * where it ended; the relist after `pollInterval` is the safety net for what a watch can lose (an etcd restore, a
 * half-open connection). Failures are retried for ever, and what was known stays known.
 */
export function watchPods(
  api: Api,
  config: Config,
  nodeName: string,
  listener: PodListener,
  signal: AbortSignal,
): PodSource {
  const watches = interests(config).map(
    (interest) => new PodWatch(api, interest, nodeName, config.pollInterval, listener),
  );
  for (const watch of watches) void watch.run(signal);
  return { pods: () => merged(watches.map(({ known }) => known)) };
}

/** The pods of the node, listed once. @throws {ApiError} or a network error */
export async function listPods(api: Api, config: Config, nodeName: string): Promise<Pod[]> {
  const lists = await Promise.all(interests(config).map((interest) => list(api, interest, nodeName)));
  return merged(lists.map(({ pods }) => pods)) ?? [];
}

function interests({ addresses }: Config): Interest[] {
  const all = addresses.map(({ namespace, selector }) => ({ namespace, selector }));
  return [
    ...new Map(all.map((interest) => [`${interest.namespace} ${interest.selector}`, interest])).values(),
  ];
}

type Known = Map<string, Pod>;

/** Two selectors may know one pod; the uid tells. */
function merged(all: (Known | undefined)[]): Pod[] | undefined {
  if (all.includes(undefined)) return undefined;
  return [...new Map(all.flatMap((known) => [...(known ?? [])])).values()];
}

function podsPath({ namespace }: Interest): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`;
}

function selection({ selector }: Interest, nodeName: string) {
  return { fieldSelector: `spec.nodeName=${nodeName}`, labelSelector: selector };
}

async function list(api: Api, interest: Interest, nodeName: string, signal?: AbortSignal) {
  const answer = await api.get<V1PodList>(podsPath(interest), selection(interest, nodeName), signal);
  const pods: Known = new Map(answer.items.map((item) => [item.metadata?.uid ?? "", podFromApi(item)]));
  return { pods, version: answer.metadata?.resourceVersion ?? "" };
}

class PodWatch {
  known: Known | undefined;
  #version = "";
  #failures = 0;

  constructor(
    readonly api: Api,
    readonly interest: Interest,
    readonly nodeName: string,
    readonly pollInterval: number,
    readonly listener: PodListener,
  ) {}

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#list(signal);
        await this.#watchUntilRelist(signal);
      } catch (error) {
        await this.#wait(error, signal);
      }
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { pods, version } = await list(this.api, this.interest, this.nodeName, signal);
    this.known = pods;
    this.#version = version;
    this.#succeeded();
    this.listener.changed();
  }

  async #watchUntilRelist(signal: AbortSignal): Promise<void> {
    const relist = AbortSignal.timeout(jittered(this.pollInterval * 1000));
    while (!signal.aborted && !relist.aborted) {
      try {
        await this.#watch(AbortSignal.any([signal, relist]));
      } catch (error) {
        if (relist.aborted) return;
        if (isExpired(error)) return await pause(200, signal);
        await this.#wait(error, signal);
      }
    }
  }

  /** One watch, to its end. The server ends it after 4–8 minutes, at random so that a cluster's agents spread. */
  async #watch(signal: AbortSignal): Promise<void> {
    const query = {
      ...selection(this.interest, this.nodeName),
      resourceVersion: this.#version,
      allowWatchBookmarks: true,
      timeoutSeconds: 240 + Math.floor(Math.random() * 240),
    };
    const opened = Date.now();
    for await (const event of this.api.watch<WatchEvent>(podsPath(this.interest), query, signal)) {
      if (event.type === "ERROR") throw failureOf(event);
      this.#succeeded();
      this.#take(event);
    }
    // A server that ends every watch at once must not be asked again at once.
    if (Date.now() - opened < 1_000) await pause(1_000, signal);
  }

  #take({ type, object }: WatchEvent): void {
    this.#version = object.metadata?.resourceVersion ?? this.#version;
    if (type === "BOOKMARK") return;
    const uid = object.metadata?.uid ?? "";
    if (type === "DELETED") this.known?.delete(uid);
    else this.known?.set(uid, podFromApi(object));
    this.listener.changed();
  }

  #succeeded(): void {
    if (this.#failures > 0) this.listener.trouble(podsPath(this.interest), undefined);
    this.#failures = 0;
  }

  async #wait(error: unknown, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    this.#failures++;
    this.listener.trouble(podsPath(this.interest), sentence(error));
    await pause(backoff(this.#failures, error), signal);
  }
}

/** A watch that has begun fails with an event. */
function failureOf({ object }: WatchEvent): ApiError {
  return new ApiError(object.code ?? 500, object.message ?? "the watch failed", 0);
}

/** 410 Gone: the version is too old to go on from (etcd compaction), so everything has to be listed again. */
function isExpired(error: unknown): boolean {
  return error instanceof ApiError && error.status === 410;
}

/** Doubling from 1 s to 30 s, or what the server asks for if that is longer. */
function backoff(failures: number, error: unknown): number {
  const asked = error instanceof ApiError ? error.retryAfter * 1000 : 0;
  return Math.max(asked, Math.min(30_000, 1_000 * 2 ** (failures - 1)));
}

/** Waits that long, give or take a quarter, or until the signal aborts. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(jittered(milliseconds), undefined, { signal }).catch(() => undefined);
}

/** 75–125 % of it, in whole milliseconds, as timers want them. */
function jittered(milliseconds: number): number {
  return Math.round(milliseconds * (0.75 + Math.random() / 2));
}

function sentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code = "" } = error as NodeJS.ErrnoException;
  // Of the system; anything else is a fault of ours or an answer, and must not look like an outage.
  const isOutage = /^E[A-Z]+$/.test(code);
  return isOutage ? `the API server cannot be reached: ${error.message || code}` : error.message;
}
