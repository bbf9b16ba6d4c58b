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

/** Milliseconds for all attempts; the kubelet waits 10 s (the chart's terminationGracePeriodSeconds). */
const patience = 4_000;

/**
 * Tells, when the agent is told to end, whether only its pod ends (the rules stay, traffic goes on) or the whole
 * installation (the node is left as it was). There is no hook for the latter: Pulumi leaves Helm's hooks out.
 *
 * The DaemonSet is asked for. It is gone or being deleted: removed. The API server no longer knows or allows us although
 * it did when we started (`permitted`): our service account or role went first, as with `helm uninstall`: removed.
 * No answer: not removed, because traffic must outlive an API server that is down.
 */
export async function departure(api: Api, home: Home | undefined, permitted: boolean): Promise<Departure> {
  if (home === undefined) return { removed: false, reason: "no DaemonSet is configured to ask for" };
  try {
    const deleting = await isDeleting(api, home, AbortSignal.timeout(patience));
    return deleting
      ? { removed: true, reason: "its DaemonSet is being deleted" }
      : { removed: false, reason: "its DaemonSet stays" };
  } catch (error) {
    if (!(error instanceof ApiError)) return { removed: false, reason: "the API server does not answer" };
    if (error.status === 404) return { removed: true, reason: "its DaemonSet is gone" };
    if (permitted && (error.status === 401 || error.status === 403)) {
      return { removed: true, reason: "its service account or role is gone" };
    }
    return { removed: false, reason: error.message };
  }
}

/** Whether the agent may ask for its DaemonSet; without that a later refusal says nothing. */
export async function mayAsk(api: Api, home: Home | undefined, signal: AbortSignal): Promise<boolean> {
  if (home === undefined) return false;
  return isDeleting(api, home, signal).then(
    () => true,
    () => false,
  );
}

export function daemonSetPath({ namespace, daemonSet }: Home): string {
  return `/apis/apps/v1/namespaces/${encodeURIComponent(namespace)}/daemonsets/${encodeURIComponent(daemonSet)}`;
}

async function isDeleting(api: Api, home: Home, signal: AbortSignal): Promise<boolean> {
  const { metadata } = await api.get<{ metadata?: { deletionTimestamp?: string } }>(
    daemonSetPath(home),
    {},
    signal,
  );
  return metadata?.deletionTimestamp !== undefined;
}
