import { setTimeout as delay } from "node:timers/promises";
import type { V1Pod } from "@kubernetes/client-node";
import { type Api, ApiError, Silence } from "./api.ts";
import { type Fields, JsonError } from "./json.ts";
import { isExpired, type Known, keep, type Interest, list, podsPath, selection } from "./podpages.ts";
import { type Deleted, isOlder } from "./podversions.ts";

/** Told of every change, and of trouble with what is listed and watched (its path and selector), and of the end of it (undefined). */
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
   * Within it the agents of a cluster come back, each at a moment of its own, when the API server ended their watches or
   * did not answer: a thousand that come at once keep a server that starts from starting.
   */
  comeBack: number;
  /**
   * After it a watch without a word is no longer believed: a server sends a bookmark every minute (KEP-956), unless it
   * forgot the version that it was asked for, or no pod of the cluster changed and its etcd does not tell progress.
   */
  silence: number;
  /** After it a watch that is open works, although it had nothing to tell yet. */
  settled: number;
  /** For so long, at the start, the selectors that are listed wait for the others. */
  first: number;
}

/** Watches that failed one after the other before the pods are listed, in case lists are answered. */
const blindness = 4;

/**
 * What is refused so often is asked for ever more seldom, up to 2³ times as seldom, 44 s on average: a role that somebody
 * deleted is asked for by every node.
 */
const [patientRefusals, mostDoublings] = [5, 3];

/** One list, then one watch. */
export class PodWatch {
  /** Undefined until the pods were listed once. */
  known: Known | undefined;
  /** Whether the first list was tried and failed. */
  failed = false;
  /** When the API server was last heard of it, as performance.now() says; undefined: never. */
  heard: number | undefined;
  #version = "";
  #failures = 0;
  /** Answers in a row that the request is not granted. */
  #refusals = 0;
  /** Watches in a row that the server ended soon. */
  #brief = 0;
  /** Watches in a row that did not begin, or began with an error. */
  #blind = 0;
  /** Versions in a row that could not be gone on from. */
  #expired = 0;
  /** How long the server may be silent now: longer each time that it was for nothing, until it sends a bookmark. */
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

  /** What is in trouble, for a person: two selectors of a namespace are two watches. */
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
    // After an etcd restore what was deleted may be there again.
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
    // The server ends the watch in time, unless something in between keeps its word from us.
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
   * One watch, to its end: the server's at the relist, or after 15–30 minutes, so that agents get to know new servers.
   * One watch and one list for each relist is as few requests as there can be.
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
    // A watch that begins with an error, or with what is no event, told nothing.
    const settling = setTimeout(() => this.#hear(), this.times.settled);
    try {
      await this.#follow(events);
    } finally {
      clearTimeout(settling);
    }
    const lasted = performance.now() - opened;
    if (lasted < (timeoutSeconds - 1) * 1000) await this.#comeBack(lasted, signal);
  }

  /** The watch works. */
  #hear(): void {
    this.#blind = 0;
    this.heard = performance.now();
    this.#succeeded();
  }

  /**
   * The server, or a load balancer on the way, ended a watch before its time, and maybe those of all other agents: within a
   * second we come back to it, or to another server, as client-go does; ever more slowly where that is for nothing.
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
      // What came before the silence may have been lost, too.
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

  /** Deleted, or no longer matched by the selector; both are the same event, and only a deleted pod was terminating before. */
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
    // Who knows nothing yet has traffic waiting.
    const longest = this.known === undefined ? 1_000 * 2 ** (this.#failures - 1) : Number.POSITIVE_INFINITY;
    this.#refusals = isRefusal(error) ? this.#refusals + 1 : 0;
    const doublings = Math.min(Math.max(0, this.#refusals - patientRefusals), mostDoublings);
    const wait = Math.random() * Math.min(longest, this.times.comeBack * 2 ** doublings);
    await sleep(asked + wait, signal);
  }
}

/** An event has a pod, or the Status of what went wrong. */
function eventShape({ fields, most }: Fields): Fields {
  const object = {
    fields: { ...fields, code: "text" as const, message: "text" as const },
    ...(most && { most }),
  };
  return { fields: { type: "text", object } };
}

/** A watch that has begun fails with an event. */
function failureOf({ object }: WatchEvent): ApiError {
  return new ApiError(object.code ?? 500, object.message ?? "the watch failed", 0);
}

/** Somebody answered, and not with a watch, so that a list may well succeed. A server that is overloaded wants fewer. */
function isAnswer(error: unknown): boolean {
  const isOverloaded = error instanceof ApiError && (error.status === 429 || error.status === 503);
  const isAnswered = [ApiError, Silence, JsonError].some((kind) => error instanceof kind);
  return isAnswered && !isOverloaded;
}

/**
 * What the same request will be answered until somebody changes rights or namespaces. A 401 is none: it ends with what
 * authenticates, as a webhook that is away or a key that is rotated.
 */
function isRefusal(error: unknown): boolean {
  return error instanceof ApiError && [400, 403, 404].includes(error.status);
}

/** Waits that long, give or take a quarter, or until the signal aborts. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return sleep(jittered(milliseconds), signal);
}

/** Waits that long, or until the signal aborts. */
export async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(Math.round(milliseconds), undefined, { signal }).catch(() => undefined);
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
