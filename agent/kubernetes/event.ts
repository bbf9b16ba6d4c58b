import type { Api } from "./api.ts";
import { daemonSet, type Home } from "./installation.ts";

/** A message to the installation's owner, shown by `kubectl get events` and `kubectl describe`. */
export interface Event {
  /** One word in CamelCase, as the API conventions require. */
  reason: string;
  message: string;
}

/** The API server refuses a longer note (core/v1 Event). */
const longest = 1024;

/**
 * Posts a warning about the agent's DaemonSet. Without a DaemonSet, or without the right to create events, nothing is
 * posted; the log and the readiness report say the same.
 */
export async function postEvent(api: Api, home: Home | undefined, node: string, event: Event): Promise<void> {
  if (home === undefined) return;
  const { namespace, daemonSet: name } = home;
  const signal = AbortSignal.timeout(5_000);
  const { uid } = await daemonSet(api, home, signal);
  const now = new Date().toISOString();
  const object = {
    apiVersion: "v1",
    kind: "Event",
    metadata: { generateName: `${name}.`, namespace },
    // `kubectl describe` finds an event only by the uid of its object.
    involvedObject: {
      apiVersion: "apps/v1",
      kind: "DaemonSet",
      name,
      namespace,
      uid,
    },
    type: "Warning",
    reason: event.reason,
    message: event.message.slice(0, longest),
    source: { component: "magic-ip-address-agent", host: node },
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
  };
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`;
  await api.post(path, object, signal);
}
