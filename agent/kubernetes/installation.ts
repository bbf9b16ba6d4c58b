import { setTimeout as delay } from "node:timers/promises";
import { type Api, ApiError } from "./api.ts";
import type { Shape } from "./json.ts";
import { isOlder } from "./podversions.ts";

/** The DaemonSet that runs this agent. */
export interface Home {
  namespace: string;
  daemonSet: string;
  /**
   * The name of the ConfigMap that exists as long as the installation does. It names the DaemonSet that serves the
   * installation; an upgrade may rename that DaemonSet. It is no Lease, because Argo CD does not install Leases
   * (argoproj/argo-cd#12722; in `resource.exclusions` by default since 3.0). Absent where a manifest has no ConfigMap.
   */
  installation?: string;
}

/** What the ConfigMap says of the installation: whether it exists, and which DaemonSet serves it. */
export type Word = { kind: "unknown" } | { kind: "gone"; at: number } | { kind: "there"; daemonSet: string };

interface Mark {
  metadata?: { resourceVersion?: string; deletionTimestamp?: string };
  data?: { daemonSet?: string };
}

interface MarkEvent {
  type: string;
  object: Mark & { code?: number; message?: string };
}

const text = "text" as const;
const markFields = {
  metadata: { fields: { resourceVersion: text, deletionTimestamp: text } },
  data: { fields: { daemonSet: text } },
};
const markShape: Shape = { fields: markFields };
const eventShape: Shape = {
  fields: { type: text, object: { fields: { ...markFields, code: text, message: text } } },
};

/**
 * Milliseconds. `silence`: the kernel detects dead connections, so half an hour without a byte only means that the
 * server has nothing to report. `answer`: for the whole answer about the DaemonSet or the ConfigMap, even if it comes
 * byte by byte. `first`: the pause after a watch that had begun, doubling up to `longestRest` where watches last less
 * than `brief`. `longest`: between two attempts; `longestRefused`: between two that the server refuses because the role
 * lacks the right. `gone`: for this time a deleted ConfigMap counts as an uninstall; where the agent still runs after
 * it, an administrator deleted the ConfigMap by hand.
 */
const times = {
  ...{
    answer: 30_000,
    silence: 1_800_000,
    brief: 10_000,
    longestRest: 15_000,
    first: 1_000,
    retry: 5_000,
    longest: 60_000,
    longestRefused: 600_000,
  },
  gone: 120_000,
};

/**
 * Watches the installation's ConfigMap from the start of the agent to its end. An open watch outlives the token and the
 * role that it was opened with, so it also reports an uninstall that deletes both before the agent is told to end.
 * The ConfigMap changes only with the installation; the DaemonSet would change with each of its pods.
 */
export class Installation {
  word: Word = { kind: "unknown" };
  /** The uid of our DaemonSet, read once. */
  uid: string | undefined;
  #version = "";
  #failures = 0;
  /** Watches in a row that ended soon. */
  #brief = 0;

  constructor(
    readonly api: Api,
    readonly home: Home | undefined,
    readonly pause: (milliseconds: number, signal: AbortSignal) => Promise<unknown> = restFor,
  ) {}

  /** Watches the ConfigMap until the signal aborts. Failures, such as a missing right, are retried without end. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.home?.installation === undefined) return;
    while (!signal.aborted) {
      try {
        const soon = AbortSignal.any([signal, AbortSignal.timeout(times.answer)]);
        this.uid ??= (await daemonSet(this.api, this.home, soon)).uid;
        await this.#watch(signal);
        await this.pause(this.#rest * (0.75 + Math.random() / 2), signal);
      } catch (error) {
        const longest = isRefusal(error) ? times.longestRefused : times.longest;
        const next = this.#failures === 0 ? this.#rest : times.retry * 2 ** (this.#failures - 1);
        this.#failures++;
        const wait = Math.min(next, longest);
        await this.pause(wait * (0.75 + Math.random() / 2), signal);
      }
    }
  }

  /** Reads the ConfigMap; records its absence where it was known. @throws {ApiError} or a network error otherwise */
  async look(signal: AbortSignal): Promise<void> {
    try {
      const mark = await this.api.get<Mark>(`${this.#path}/${this.#name}`, {}, signal, markShape);
      if (!isOlder(mark.metadata?.resourceVersion ?? "", this.#version)) this.#take(mark);
    } catch (error) {
      if (!isNotFound(error) || this.word.kind === "unknown") throw error;
      this.#went();
    }
  }

  /**
   * Watches from version 0: the server begins with the ConfigMap as it is now. The ConfigMap's own version may be days
   * old, and no server resumes from it (410, k8s.io/apiserver watch_cache.go). No event reports a ConfigMap that was
   * deleted before the watch began, so `look` asks for it.
   */
  async #watch(signal: AbortSignal): Promise<void> {
    const timeoutSeconds = Math.ceil(900 + Math.random() * 900);
    const query = {
      fieldSelector: `metadata.name=${this.#name}`,
      ...{ resourceVersion: "0", timeoutSeconds },
    };
    const until = { signal, silence: times.silence };
    const events = await this.api.watch<MarkEvent>(this.#path, query, until, eventShape);
    // An end after this point, such as a load balancer's time limit, is no failed attempt.
    this.#failures = 0;
    const began = performance.now();
    if (this.word.kind === "there")
      this.look(AbortSignal.any([signal, AbortSignal.timeout(times.answer)])).catch(() => {});
    try {
      for await (const { type, object } of events) {
        if (type === "ERROR") throw new ApiError(object.code ?? 500, object.message ?? "the watch failed", 0);
        if (type === "DELETED") this.#went(object);
        else if (type !== "BOOKMARK") this.#take(object);
      }
    } finally {
      this.#brief = performance.now() - began < times.brief ? this.#brief + 1 : 0;
    }
  }

  /** Milliseconds until the next watch; doubles while watches end soon after they begin. */
  get #rest(): number {
    return Math.min(times.first * 2 ** Math.max(0, this.#brief - 2), times.longestRest);
  }

  #take({ metadata, data }: Mark): void {
    this.#version = metadata?.resourceVersion ?? "";
    const isGoing = metadata?.deletionTimestamp !== undefined && metadata.deletionTimestamp !== null;
    if (isGoing) this.#went();
    else this.word = { kind: "there", daemonSet: data?.daemonSet ?? "" };
  }

  #went({ metadata }: Mark = {}): void {
    this.#version = metadata?.resourceVersion ?? this.#version;
    const now = performance.now();
    if (this.word.kind !== "gone") this.word = { kind: "gone", at: now };
    else if (now - this.word.at > times.gone) this.word = { kind: "unknown" };
  }

  /** Whether the ConfigMap was found deleted within the last `gone` milliseconds. */
  get hasGone(): boolean {
    return this.word.kind === "gone" && performance.now() - this.word.at <= times.gone;
  }

  get #path(): string {
    const namespace = encodeURIComponent(this.home?.namespace ?? "");
    return `/api/v1/namespaces/${namespace}/configmaps`;
  }

  get #name(): string {
    return encodeURIComponent(this.home?.installation ?? "");
  }
}

/** Reads the uid and the deletion time of our DaemonSet. */
export async function daemonSet(
  api: Api,
  home: Home,
  signal: AbortSignal,
): Promise<{ uid?: string; deletionTimestamp?: string }> {
  const shape: Shape = { fields: { metadata: { fields: { uid: text, deletionTimestamp: text } } } };
  const answer = await api.get<{ metadata?: object }>(daemonSetPath(home), {}, signal, shape);
  return answer.metadata ?? {};
}

/** Whether the namespace is being deleted: since Kubernetes 1.33 its pods go before its DaemonSets (KEP-5080). */
export async function namespaceGoes(api: Api, { namespace }: Home, signal: AbortSignal): Promise<boolean> {
  const shape: Shape = { fields: { metadata: { fields: { deletionTimestamp: text } } } };
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}`;
  const answer = await api
    .get<{ metadata?: { deletionTimestamp?: string | null } }>(path, {}, signal, shape)
    .catch(() => undefined);
  return typeof answer?.metadata?.deletionTimestamp === "string";
}

export function daemonSetPath({ namespace, daemonSet }: Home): string {
  return `/apis/apps/v1/namespaces/${encodeURIComponent(namespace)}/daemonsets/${encodeURIComponent(daemonSet)}`;
}

/** Whether an API server says so: a load balancer without servers may answer 404 as well, but without the reason. */
export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404 && error.reason === "NotFound";
}

/**
 * Whether the server refuses the request (403), or the object does not exist (404), as with a manifest without a
 * ConfigMap. A 401 is no lasting refusal: it ends when authentication works again (a webhook, a rotated key).
 */
function isRefusal(error: unknown): boolean {
  return error instanceof ApiError && [403, 404].includes(error.status);
}

/** Waits that long, or until the signal aborts. */
async function restFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(Math.round(milliseconds), undefined, { signal }).catch(() => undefined);
}
