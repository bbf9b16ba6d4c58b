import { setTimeout as delay } from "node:timers/promises";
import { type Api, ApiError } from "./api.ts";

/** The DaemonSet that runs this agent. */
export interface Home {
  namespace: string;
  daemonSet: string;
}

/** Whether the installation is being removed, and how that is known. */
export interface Departure {
  removed: boolean;
  reason: string;
}

/** Milliseconds. */
interface Times {
  /** For all attempts; the kubelet waits 10 s (the chart's terminationGracePeriodSeconds). */
  patience: number;
  /**
   * For how long a refusal has to last: an API server that has just started refuses everybody until it knows the roles
   * (kubernetes/kubernetes#121635).
   */
  refusal: number;
  /** Between two attempts. */
  pause: number;
}

const usual: Times = { patience: 4_500, refusal: 3_000, pause: 500 };

/**
 * Tells, when the agent is told to end, whether only its pod ends (the rules stay, traffic goes on) or the whole
 * installation (the node is left as it was). There is no hook for the latter: Pulumi leaves Helm's hooks out.
 *
 * The DaemonSet is asked for. It is gone or being deleted: removed. The API server goes on refusing us although it did not
 * before (`permitted`): our service account or role went first, as with `helm uninstall`: removed. No answer, or one that
 * says nothing of the DaemonSet, is asked for again; if none comes: not removed, because traffic must outlive an API
 * server that is down.
 */
export async function departure(
  api: Api,
  home: Home | undefined,
  permitted: boolean,
  { patience, refusal, pause } = usual,
): Promise<Departure> {
  if (home === undefined) return { removed: false, reason: "no DaemonSet is configured to ask for" };
  const end = performance.now() + patience;
  const signal = AbortSignal.timeout(patience);
  let refusedAt: number | undefined;
  for (;;) {
    const answer = await ask(api, home, signal);
    if (answer.kind === "known") return answer;
    if (answer.kind !== "refused") refusedAt = undefined;
    else if (performance.now() - (refusedAt ??= performance.now()) >= refusal && permitted)
      return { removed: true, reason: "its service account or role is gone" };
    if (performance.now() + pause > end) return { removed: false, reason: answer.reason };
    await delay(pause);
  }
}

/** Whether the agent may ask for its DaemonSet, found out again and again until it may. */
export class Permission {
  granted = false;
  readonly #home: Home | undefined;

  constructor(
    readonly api: Api,
    home: Home | undefined,
  ) {
    this.#home = home;
  }

  /** Asks once. Without leave, a later refusal says nothing. */
  async ask(signal: AbortSignal): Promise<boolean> {
    if (this.#home === undefined || this.granted) return true;
    const answer = await ask(this.api, this.#home, signal);
    this.granted = answer.kind === "known" && !answer.gone;
    return this.granted;
  }
}

export function daemonSetPath({ namespace, daemonSet }: Home): string {
  return `/apis/apps/v1/namespaces/${encodeURIComponent(namespace)}/daemonsets/${encodeURIComponent(daemonSet)}`;
}

type Answer =
  | (Departure & { kind: "known"; gone: boolean })
  | { kind: "refused"; reason: string }
  | { kind: "none"; reason: string };

async function ask(api: Api, home: Home, signal: AbortSignal): Promise<Answer> {
  try {
    const { metadata } = await api.get<DaemonSet>(daemonSetPath(home), {}, signal);
    return metadata?.deletionTimestamp === undefined
      ? { kind: "known", gone: false, removed: false, reason: "its DaemonSet stays" }
      : { kind: "known", gone: false, removed: true, reason: "its DaemonSet is being deleted" };
  } catch (error) {
    if (!(error instanceof ApiError)) return { kind: "none", reason: "the API server does not answer" };
    if (error.status === 401 || error.status === 403) return { kind: "refused", reason: error.message };
    // A load balancer without servers may say 404 as well.
    if (error.status === 404 && error.reason === "NotFound")
      return { kind: "known", gone: true, removed: true, reason: "its DaemonSet is gone" };
    return { kind: "none", reason: error.message };
  }
}

interface DaemonSet {
  metadata?: { deletionTimestamp?: string };
}
