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
  /** For all attempts. The process ends within 5 s where the rules stay; the kubelet waits 10 s. */
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
 * installation by now; or the installation's ConfigMap was seen to go. A DaemonSet that is not found while the ConfigMap says that
 * it serves the installation may come back under its name (`kubectl replace --force`), so it is asked for until the end.
 *
 * A refusal says nothing: a pod's token ends with the pod (`delete --force`, a node that is deleted or out of service) or
 * with a key that is rotated (401), and rights can be taken away (403). It may come from a server that has just started
 * (kubernetes/kubernetes#121635), or the uninstall may not have come as far as the ConfigMap yet, so it is asked again. Without
 * an answer the rules stay, because traffic must outlive an API server that is down.
 */
export async function departure(
  api: Api,
  installation: Installation,
  { patience, pause } = usual,
): Promise<Departure> {
  const { home } = installation;
  if (home === undefined) return { removed: false, reason: "no DaemonSet is configured to ask for" };
  const end = performance.now() + patience;
  const signal = AbortSignal.timeout(patience);
  const heard = new Heard(patience / 2);
  for (;;) {
    const asked = performance.now();
    // Both at once: an API server may need a second for an answer. The ConfigMap's watch may be behind.
    const looked = home.installation === undefined ? undefined : installation.look(signal);
    const [answer] = await Promise.all([ask(api, home, signal), looked?.catch(() => undefined)]);
    heard.take(answer, asked, installation);
    const verdict = judge(answer, installation, heard);
    if (verdict !== undefined) return verdict;
    if (performance.now() + pause > end) return heard.atTheEnd(answer);
    await delay(pause);
  }
}

type Answer =
  | { kind: "there"; uid: string | undefined; reason: string }
  | { kind: "missing" | "gone" | "refused" | "silent"; reason: string };

/** What the answers so far say together. Refusals and silence take back nothing. */
class Heard {
  /** Whether our own DaemonSet was there when it was last answered. */
  isThere = false;
  /** When it was asked for first, and last, where it is missing since. */
  #missing: { since: number; until: number; refused: boolean; reason: string } | undefined;

  /** `long`: milliseconds after which one that is still missing does not come back. */
  constructor(readonly long: number) {}

  take(answer: Answer, asked: number, { uid }: Installation): void {
    if (answer.kind === "there") {
      this.isThere = uid === undefined || answer.uid === uid;
      this.#missing = undefined;
    } else if (answer.kind === "missing") {
      this.isThere = false;
      this.#missing ??= { since: asked, until: asked, refused: false, reason: answer.reason };
      this.#missing.until = asked;
    } else if (answer.kind === "refused" && this.#missing !== undefined) {
      this.#missing.refused = true;
    }
  }

  /** One that was asked for once only may be back by now, unless our rights went with it. */
  atTheEnd({ reason }: Answer): Departure {
    const missing = this.#missing;
    const isGone = missing !== undefined && (missing.refused || missing.until - missing.since >= this.long);
    return isGone ? { removed: true, reason: missing.reason } : { removed: false, reason };
  }
}

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
    if (!(error instanceof ApiError)) return { kind: "silent", reason: "the API server does not answer" };
    const isRefusal = error.status === 401 || error.status === 403;
    return { kind: isRefusal ? "refused" : "silent", reason: error.message };
  }
}

/** Undefined: to be asked again. */
function judge(
  answer: Answer,
  { home, word, hasGone }: Installation,
  { isThere }: Heard,
): Departure | undefined {
  const heir = heirOf(home, word);
  if (heir !== undefined)
    return { removed: false, reason: `the DaemonSet ${heir} serves the installation now` };
  if (answer.kind === "gone") return { removed: true, reason: answer.reason };
  if (answer.kind === "missing" && word.kind !== "there") return { removed: true, reason: answer.reason };
  // One that was there a moment ago is not gone because nobody answers now.
  if (hasGone && !isThere) return { removed: true, reason: "its ConfigMap is gone" };
  // Where the ConfigMap has just gone, the DaemonSet may be about to.
  return answer.kind === "there" && !hasGone ? { removed: false, reason: answer.reason } : undefined;
}

/** Another DaemonSet that the installation has by now. */
function heirOf(home: Home | undefined, word: Word): string | undefined {
  const isOther = word.kind === "there" && word.daemonSet !== "" && word.daemonSet !== home?.daemonSet;
  return isOther ? word.daemonSet : undefined;
}
