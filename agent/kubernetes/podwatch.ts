import { setTimeout as delay } from "node:timers/promises";
import type { V1Pod } from "@kubernetes/client-node";
import { type Api, ApiError, Silence } from "./api.ts";
import { type Fields, JsonError } from "./json.ts";
import { isExpired, type Known, keep, type Interest, list, podsPath, selection } from "./podpages.ts";
import { type Deleted, isOlder } from "./podversions.ts";

/** Receives every change, and every failure of a list or watch (`source`: path and selector); undefined: it ended. */
export interface PodListener {
  changed(): void;
  trouble(source: string, message: string | undefined): void;
}

interface WatchEvent {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  object: V1Pod & { code?: number; message?: string };
}

/** Milliseconds. */
export interface Times {
  /**
   * Longest random wait before an agent reconnects, after the API server ended its watch or did not answer. It spreads
   * the agents of a cluster: a thousand at once would keep a starting server from starting.
   */
  comeBack: number;
  /**
   * After this time without a byte a watch counts as broken: a server sends a bookmark every minute (KEP-956), unless
   * it lost the requested version, or no pod of the cluster changed and its etcd does not report progress.
   */
  silence: number;
  /** After this time an open watch counts as working, although it has reported nothing yet. */
  settled: number;
  /** At the start, listed selectors wait this long for the others. */
  first: number;
}

/** Failed watches in a row after which the pods are listed, because lists may succeed where watches fail. */
const blindness = 4;

/**
 * After 5 refusals in a row the wait doubles with each further one, at most 3 times, to 44 s on average: after an
 * administrator deleted the role, every node repeats the refused request.
 */
const [patientRefusals, mostDoublings] = [5, 3];

/** One list, then one watch. */
export class PodWatch {
  /** Undefined until the pods were listed once. */
  known: Known | undefined;
  /** Whether the first list was tried and failed. */
  failed = false;
  /** When the API server last answered for these pods, by performance.now(); undefined: never. */
  heard: number | undefined;
  #version = "";
  #failures = 0;
  /** Refusals in a row. */
  #refusals = 0;
  /** Watches in a row that the server ended soon. */
  #brief = 0;
  /** Watches in a row that did not begin, or began with an error. */
  #blind = 0;
  /** Watches in a row that could not resume from their version. */
  #expired = 0;
  /** Milliseconds that the server may be silent: doubled after each silence, and reset by a bookmark. */
  #patience: number;

  constructor(
    readonly api: Api,
    readonly interest: Interest,
    readonly nodeName: string,
    readonly times: Times & { relist: number },
    readonly listener: PodListener,
    readonly deleted: Deleted,
  ) {
    this.#patience = times.silence;
  }

  /** Names this watch in messages, with the selector: two selectors of a namespace are two watches. */
  get source(): string {
    const { selector = "all of the node" } = this.interest;
    return `${podsPath(this.interest)} (${selector})`;
  }

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
    const asked = performance.now();
    const { pods, version } = await list(this.api, this.interest, this.nodeName, signal);
    // After an etcd restore, deleted pods may exist again.
    if (isOlder(version, this.#version)) this.deleted.clear();
    this.deleted.listed(pods.keys(), asked);
    this.heard = performance.now();
    this.known = pods;
    this.#version = version;
    this.#refusals = 0;
    if (this.#blind === 0) this.#succeeded();
    this.listener.changed();
  }

  async #watchUntilRelist(signal: AbortSignal): Promise<void> {
    const due = jittered(this.times.relist);
    const relist = performance.now() + due;
    // The server ends the watch in time; a proxy in between may keep that end from the agent.
    const overdue = AbortSignal.timeout(due + 30_000);
    while (!signal.aborted && performance.now() < relist) {
      try {
        await this.#watch(relist - performance.now(), AbortSignal.any([signal, overdue]));
      } catch (error) {
        if (overdue.aborted) return;
        if (isExpired(error)) return await pause(Math.min(200 * 2 ** this.#expired++, 30_000), signal);
        await this.#wait(error, signal);
        if (isAnswer(error) && ++this.#blind % blindness === 0) return;
      }
    }
  }

  /**
   * One watch, to its end. The server ends it at the relist, or after 15–30 minutes so that agents also connect to new
   * servers. One watch and one list for each relist is the smallest possible number of requests.
   */
  async #watch(longest: number, signal: AbortSignal): Promise<void> {
    const timeoutSeconds = Math.ceil(Math.min(900 + Math.random() * 900, longest / 1000));
    const query = {
      ...selection(this.interest, this.nodeName),
      resourceVersion: this.#version,
      allowWatchBookmarks: true,
      timeoutSeconds,
    };
    const opened = performance.now();
    const until = { signal, silence: this.#patience };
    const shape = eventShape(this.interest.shape);
    const events = await this.api.watch<WatchEvent>(podsPath(this.interest), query, until, shape);
    // Not at once: a watch may begin with an error, or with something that is no event.
    const settling = setTimeout(() => this.#hear(), this.times.settled);
    try {
      await this.#follow(events);
    } finally {
      clearTimeout(settling);
    }
    const lasted = performance.now() - opened;
    if (lasted < (timeoutSeconds - 1) * 1000) await this.#comeBack(lasted, signal);
  }

  /** Records that the watch works. */
  #hear(): void {
    this.#blind = 0;
    this.heard = performance.now();
    this.#succeeded();
  }

  /**
   * Waits after the server, or a load balancer in between, ended a watch before its time, maybe those of all agents: at
   * most 1 s, as client-go does; doubled, up to `comeBack`, while watches last less than `comeBack`.
   */
  async #comeBack(lasted: number, signal: AbortSignal): Promise<void> {
    this.#brief = lasted < this.times.comeBack ? this.#brief + 1 : 1;
    await sleep(Math.random() * Math.min(1_000 * 2 ** (this.#brief - 1), this.times.comeBack), signal);
  }

  async #follow(events: AsyncGenerator<WatchEvent>): Promise<void> {
    try {
      for await (const event of events) {
        if (event.type === "ERROR") throw failureOf(event);
        this.#take(event);
      }
    } catch (error) {
      if (!(error instanceof Silence)) throw error;
      this.#patience = Math.min(2 * this.#patience, this.times.relist);
      // Events before the silence may be lost, too, so the pods are listed again.
      throw new ApiError(410, "the watch was silent", 0);
    }
  }

  #take({ type, object }: WatchEvent): void {
    this.#hear();
    const version = object.metadata?.resourceVersion ?? this.#version;
    if (isOlder(version, this.#version)) throw new ApiError(410, "versions go backwards", 0);
    this.#version = version;
    this.#expired = 0;
    if (type === "BOOKMARK") {
      this.#patience = this.times.silence;
      return;
    }
    if (type === "DELETED") this.#forget(object, version);
    else if (this.known !== undefined) keep(this.known, this.interest.read(object));
    this.listener.changed();
  }

  /** Deleted, or no longer matched by the selector: both are DELETED events, but only a deleted pod was terminating. */
  #forget({ metadata }: V1Pod, version: string): void {
    const uid = metadata?.uid ?? "";
    this.known?.delete(uid);
    if (metadata?.deletionTimestamp) this.deleted.add(uid, version);
  }

  #succeeded(): void {
    if (this.#failures > 0) this.listener.trouble(this.source, undefined);
    this.#failures = 0;
    this.#refusals = 0;
  }

  async #wait(error: unknown, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    this.#failures++;
    if (this.known === undefined && !this.failed) {
      this.failed = true;
      this.listener.changed();
    }
    this.listener.trouble(this.source, sentence(error));
    const asked = error instanceof ApiError ? error.retryAfter * 1000 : 0;
    // Before the first list, retry quickly (1 s, doubling), because traffic waits for it.
    const longest = this.known === undefined ? 1_000 * 2 ** (this.#failures - 1) : Number.POSITIVE_INFINITY;
    this.#refusals = isRefusal(error) ? this.#refusals + 1 : 0;
    const doublings = Math.min(Math.max(0, this.#refusals - patientRefusals), mostDoublings);
    const wait = Math.random() * Math.min(longest, this.times.comeBack * 2 ** doublings);
    await sleep(asked + wait, signal);
  }
}

/** An event contains a pod, or the Status of an error. */
function eventShape({ fields, most }: Fields): Fields {
  const object = {
    fields: { ...fields, code: "text" as const, message: "text" as const },
    ...(most && { most }),
  };
  return { fields: { type: "text", object } };
}

/** The error of an ERROR event, which reports a failure of a watch that has begun. */
function failureOf({ object }: WatchEvent): ApiError {
  return new ApiError(object.code ?? 500, object.message ?? "the watch failed", 0);
}

/** Whether a server answered without a watch, so that a list may succeed; an overloaded server must get no list. */
function isAnswer(error: unknown): boolean {
  const isOverloaded = error instanceof ApiError && (error.status === 429 || error.status === 503);
  const isAnswered = [ApiError, Silence, JsonError].some((kind) => error instanceof kind);
  return isAnswered && !isOverloaded;
}

/**
 * Whether the same request will fail until an administrator changes rights or namespaces. A 401 does not count: it ends
 * when authentication works again (a webhook that was down, a rotated key).
 */
function isRefusal(error: unknown): boolean {
  return error instanceof ApiError && [400, 403, 404].includes(error.status);
}

/** Waits that long, ±25 %, or until the signal aborts. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return sleep(jittered(milliseconds), signal);
}

/** Waits that long, or until the signal aborts. */
export async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(Math.round(milliseconds), undefined, { signal }).catch(() => undefined);
}

/** 75–125 % of it, in whole milliseconds, because timers take whole ones. */
function jittered(milliseconds: number): number {
  return Math.round(milliseconds * (0.75 + Math.random() / 2));
}

function sentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code = "" } = error as NodeJS.ErrnoException;
  // A system error; any other is an answer or the agent's own error, and must not look like an outage.
  const isOutage = /^E[A-Z]+$/.test(code);
  return isOutage ? `the API server cannot be reached: ${error.message || code}` : error.message;
}
