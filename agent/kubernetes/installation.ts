import { setTimeout as delay } from "node:timers/promises";
import { type Api, ApiError } from "./api.ts";
import type { Shape } from "./json.ts";
import { isOlder } from "./podversions.ts";

/** The DaemonSet that runs this agent. */
export interface Home {
  namespace: string;
  daemonSet: string;
  /**
   * The name of the ConfigMap that is there as long as the installation is. It names the DaemonSet that serves the installation,
   * which may get another name while the installation stays. No Lease: Argo CD leaves those out of what it installs
   * (argoproj/argo-cd#12722; `resource.exclusions` by default since 3.0). Absent where a manifest has none.
   */
  installation?: string;
}

/** What is known of the installation: whether it is there, and which DaemonSet serves it. */
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
 * Milliseconds. The kernel finds dead connections; half an hour of silence is only a server that has nothing to say.
 * `answer`: for the DaemonSet and the ConfigMap, also where the answer comes byte by byte. `first`: after a watch that had begun,
 * up to `longestRest` where they last less than `brief` each time. `longest`: between two attempts, and `longestRefused`
 * between two that the server refuses because the role does not have the right.
 * `gone`: for so long a ConfigMap that went is the word of an uninstall. Agents that live on had it taken away by hand.
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
 * Watches the installation's ConfigMap, from the start to the last moment: a watch that is open outlives the token and the
 * role that it was opened with, so that it tells of an uninstall that takes both along before the agent is told to end.
 * It changes with the installation only; the DaemonSet itself changes with each of its pods.
 */
export class Installation {
  word: Word = { kind: "unknown" };
  /** Of our DaemonSet, asked for once. */
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

  /** Follows it until the signal aborts. Failures, as a role without the right, are retried for ever. */
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

  /** Asks for the ConfigMap. @throws {ApiError} or a network error, but for its absence where it was known */
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
   * From version 0: the server begins with the ConfigMap as it is. Its own version is that of its last change, days ago, from
   * which no server goes on (410, k8s.io/apiserver watch_cache.go). One that went before the watch began is told by no event.
   */
  async #watch(signal: AbortSignal): Promise<void> {
    const timeoutSeconds = Math.ceil(900 + Math.random() * 900);
    const query = {
      fieldSelector: `metadata.name=${this.#name}`,
      ...{ resourceVersion: "0", timeoutSeconds },
    };
    const until = { signal, silence: times.silence };
    const events = await this.api.watch<MarkEvent>(this.#path, query, until, eventShape);
    // What ends it after this, as a load balancer's limit, is no refusal.
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

  /** Milliseconds until the next watch: those that end as they begin are opened ever more seldom. */
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

  /** Whether the ConfigMap went a short while ago. */
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

/** What matters of our DaemonSet. */
export async function daemonSet(
  api: Api,
  home: Home,
  signal: AbortSignal,
): Promise<{ uid?: string; deletionTimestamp?: string }> {
  const shape: Shape = { fields: { metadata: { fields: { uid: text, deletionTimestamp: text } } } };
  const answer = await api.get<{ metadata?: object }>(daemonSetPath(home), {}, signal, shape);
  return answer.metadata ?? {};
}

/** Whether the namespace is being deleted: since Kubernetes 1.30 its pods go before its DaemonSets (KEP-5080). */
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

/** By an API server: a load balancer without servers may say 404 as well. */
export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404 && error.reason === "NotFound";
}

/**
 * Also where there is no ConfigMap, as with a manifest that has none. A 401 is no refusal of a right: it ends with what
 * authenticates, as a webhook that is away or a key that is rotated.
 */
function isRefusal(error: unknown): boolean {
  return error instanceof ApiError && [403, 404].includes(error.status);
}

/** Ends early where the signal aborts. */
async function restFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(Math.round(milliseconds), undefined, { signal }).catch(() => undefined);
}
