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

/** Whether the installation is being removed, and the reason for that verdict. */
export interface Departure {
  removed: boolean;
  reason: string;
}

/** Milliseconds. */
interface Times {
  /** For all attempts together. The process ends within 5 s where the rules stay; the kubelet waits 10 s. */
  patience: number;
  /** Between two attempts. */
  pause: number;
}

const usual: Times = { patience: 3_000, pause: 500 };

/**
 * Decides, when the agent receives the signal to end, whether only its pod ends (the rules stay, traffic goes on) or
 * the whole installation (the rules are removed). No hook reports an uninstall: Pulumi leaves Helm's hooks out.
 *
 * Only the state of objects in the API server counts: the DaemonSet is gone or being deleted, and no other DaemonSet
 * serves the installation; or the watch or a request saw the installation's ConfigMap go. A DaemonSet that is not found
 * while the ConfigMap still names it may be created again under its name (`kubectl replace --force`), so the agent asks
 * for it until `patience` ends.
 *
 * A refusal proves nothing: a pod's token becomes invalid with the pod (`delete --force`, a node that is deleted or out
 * of service) or with a rotated key (401), and an administrator can take rights away (403). A server that has just
 * started may refuse, too (kubernetes/kubernetes#121635), or the uninstall may not have deleted the ConfigMap yet, so
 * the agent asks again. Without an answer the rules stay, because traffic must outlive an API server that is down.
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
    // Both at once, because an API server may need a second for an answer. The ConfigMap's watch may be behind.
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

/** Sums up the answers so far. A refusal or a missing answer does not revoke an earlier answer. */
class Heard {
  /** Whether the last answer about the DaemonSet, present or missing, said that our own exists. */
  isThere = false;
  /** The first and the last request of the current series that found the DaemonSet missing. */
  #missing: { since: number; until: number; refused: boolean; reason: string } | undefined;

  /** `long`: milliseconds after which a DaemonSet that is still missing is taken for removed. */
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

  /** A DaemonSet missing for less than `long` may be created again, unless the agent's rights went with it. */
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

/** Undefined: ask again. */
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
  // A DaemonSet that the last answer found is not gone because the API server does not answer now.
  if (hasGone && !isThere) return { removed: true, reason: "its ConfigMap is gone" };
  // Where the ConfigMap has just gone, the uninstall may delete the DaemonSet next.
  return answer.kind === "there" && !hasGone ? { removed: false, reason: answer.reason } : undefined;
}

/** The other DaemonSet that the ConfigMap names now, if it names another. */
function heirOf(home: Home | undefined, word: Word): string | undefined {
  const isOther = word.kind === "there" && word.daemonSet !== "" && word.daemonSet !== home?.daemonSet;
  return isOther ? word.daemonSet : undefined;
}
