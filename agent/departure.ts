import { setTimeout as delay } from "node:timers/promises";
import { type Api, ApiError } from "./api.ts";
import {
  daemonSet,
  type Home,
  type Installation,
  isNotFound,
  namespaceGoes,
  type Word,
} from "./installation.ts";

/** Whether the installation is being removed, and how that is known. */
export interface Departure {
  removed: boolean;
  reason: string;
}

/** Milliseconds. */
interface Times {
  /** For all attempts. With what is removed then the process ends within 5 s; the kubelet waits 10 s. */
  patience: number;
  /** Between two attempts. */
  pause: number;
}

const usual: Times = { patience: 3_000, pause: 500 };

/**
 * Tells, when the agent is told to end, whether only its pod ends (the rules stay, traffic goes on) or the whole
 * installation (the node is left as it was). There is no hook for the latter: Pulumi leaves Helm's hooks out.
 *
 * Only what the API server says of objects counts: the DaemonSet is gone or being deleted, and no other serves the
 * installation by now; or the installation's Lease was seen to go. A DaemonSet that is not found while the Lease says that
 * it serves the installation may come back under its name (`kubectl replace --force`), so it is asked for until the end. A refusal says nothing: a pod's token ends with the
 * pod (`delete --force`, a node that is deleted or out of service) or with a key that is rotated (401), and rights can be
 * taken away (403). It may come from a server that has just started (kubernetes/kubernetes#121635), or the uninstall may
 * not have come as far as the Lease yet, so it is asked again. Without an answer the rules stay, because traffic must
 * outlive an API server that is down.
 */
export async function departure(
  api: Api,
  installation: Installation,
  { patience, pause } = usual,
): Promise<Departure> {
  const { home } = installation;
  if (home === undefined) return { removed: false, reason: "no DaemonSet is configured to ask for" };
  const end = performance.now() + patience;
  let missing = Number.POSITIVE_INFINITY;
  const signal = AbortSignal.timeout(patience);
  for (;;) {
    const asked = performance.now();
    const answer = await ask(api, home, signal);
    missing = answer.kind === "missing" ? Math.min(missing, asked) : Number.POSITIVE_INFINITY;
    // Who may ask for the one may ask for the other, whose watch may be behind.
    if ((answer.kind === "gone" || answer.kind === "missing") && home.installation !== undefined)
      await installation.look(signal).catch(() => undefined);
    const verdict = judge(answer, installation);
    if (verdict !== undefined) return verdict;
    // One that was asked for once, before it came back, may be there by now.
    const isMissing = asked - missing >= patience / 2;
    if (performance.now() + pause > end) return { removed: isMissing, reason: answer.reason };
    await delay(pause);
  }
}

type Answer =
  | { kind: "there"; uid: string | undefined; reason: string }
  | { kind: "missing" | "gone" | "silent"; reason: string };

async function ask(api: Api, home: Home, signal: AbortSignal): Promise<Answer> {
  try {
    const { uid, deletionTimestamp } = await daemonSet(api, home, signal);
    if (typeof deletionTimestamp === "string")
      return { kind: "gone", reason: "its DaemonSet is being deleted" };
    return (await namespaceGoes(api, home, signal))
      ? { kind: "gone", reason: "its namespace is being deleted" }
      : { kind: "there", uid, reason: "its DaemonSet stays" };
  } catch (error) {
    if (isNotFound(error)) return { kind: "missing", reason: "its DaemonSet is gone" };
    return {
      kind: "silent",
      reason: error instanceof ApiError ? error.message : "the API server does not answer",
    };
  }
}

/** Undefined: to be asked again. */
function judge(answer: Answer, { home, uid, word, hasGone }: Installation): Departure | undefined {
  const heir = heirOf(home, word);
  if (heir !== undefined)
    return { removed: false, reason: `the DaemonSet ${heir} serves the installation now` };
  if (answer.kind === "gone") return { removed: true, reason: answer.reason };
  if (answer.kind === "missing" && word.kind !== "there") return { removed: true, reason: answer.reason };
  const isOurs = answer.kind === "there" && (uid === undefined || answer.uid === uid);
  if (hasGone && !isOurs) return { removed: true, reason: "its Lease is gone" };
  // Where the Lease has just gone, the DaemonSet may be about to.
  return answer.kind === "there" && !hasGone ? { removed: false, reason: answer.reason } : undefined;
}

/** Another DaemonSet that the installation has by now. */
function heirOf(home: Home | undefined, word: Word): string | undefined {
  const isOther = word.kind === "there" && word.daemonSet !== "" && word.daemonSet !== home?.daemonSet;
  return isOther ? word.daemonSet : undefined;
}
