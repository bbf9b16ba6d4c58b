import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { cleanUp, CleanupError, type Fault, Removal } from "./cleanup.ts";
import type { Config } from "../config/config.ts";
import type { Departure } from "../kubernetes/departure.ts";
import type { Backend, Flows } from "../kernel.ts";
import { isForbidden } from "../netfilter/choice.ts";

/**
 * Milliseconds from the signal. Running passes have 1.5 s, then their tools are killed: no write may follow the removal
 * of the rules. The agent waits for the API server's answer until `departure`; where the rules stay, the process ends
 * then, because a node that shuts down has little time. A removal is tried until `removal`: a pod has 10 s (the chart's
 * terminationGracePeriodSeconds), and a table that is left keeps the next installation from its IPs for 5 minutes.
 */
export const endTimes = { tools: 1_500, passes: 2_200, departure: 4_600, removal: 8_500, process: 9_000 };

/** What `leave` works with. */
export interface EndingParts {
  config: Config;
  backend: Backend;
  everyBackend(): Promise<Backend[]>;
  flows: Flows;
  log: Logger;
}

/** Remembers when the signal aborts; `left` returns the milliseconds from now to a time of `endTimes`. */
export function endClock(signal: AbortSignal): { left(until: number): number } {
  // A signal before the agent began came during the choice of a backend, whose tools are killed: no pass is waited for.
  let began = signal.aborted ? performance.now() - endTimes.passes : Number.NaN;
  signal.addEventListener("abort", () => (began = performance.now()), { once: true });
  return { left: (until) => began + until - performance.now() };
}

/**
 * Call this when the agent is told to end: it asks at once whether the installation is being removed. Call the function
 * that it returns with the runs that are still under way; that resolves within `endTimes`, even if one of them hangs.
 */
export function leave(
  parts: EndingParts,
  { left }: ReturnType<typeof endClock>,
  ask: () => Promise<Departure>,
) {
  const asked = ask();
  asked.catch(() => {});
  return async (running: Promise<unknown>): Promise<void> => {
    await within(left(endTimes.passes), running);
    const departure = await within(left(endTimes.departure), asked);
    const { removed, reason } = departure ?? { removed: false, reason: "the API server does not answer" };
    if (!removed) return parts.log.info(`ending, the rules stay: ${reason}`);
    await remove(parts, reason, left(endTimes.removal));
  };
}

/** The result of an action; undefined when it fails or takes longer than the milliseconds. */
async function within<T>(milliseconds: number, action: Promise<T>): Promise<T | undefined> {
  const waiting = new AbortController();
  const { signal } = waiting;
  const late = delay(Math.max(0, milliseconds), undefined, { signal }).catch(() => undefined);
  return await Promise.race([action.catch(() => undefined), late]).finally(() => waiting.abort());
}

/** Milliseconds between two attempts. */
const pause = 250;

/** Repeats the removal until it succeeds or the time is over. */
async function remove(parts: EndingParts, reason: string, milliseconds: number): Promise<void> {
  const { config, everyBackend, flows, log } = parts;
  const removal = new Removal();
  const over = performance.now() + milliseconds;
  let faults: Fault[] | undefined;
  const attempt = async () => {
    try {
      await cleanUp(config.instance, await everyBackend(), flows, removal);
      faults = [];
    } catch (error) {
      faults = error instanceof CleanupError ? error.faults : [{ part: "cleanup", error: error as Error }];
    }
    return serious(faults, parts.backend);
  };
  const attempts = async () => {
    while ((await attempt()).length > 0 && performance.now() + pause < over) await delay(pause);
    return true;
  };
  const done = await within(milliseconds, attempts());
  tell(log, { reason, faults, seriously: done ? serious(faults ?? [], parts.backend) : undefined });
}

/** Ignores backends that the agent may not read: only an agent of an earlier configuration can have written there. */
function serious(faults: Fault[], own: Backend): Fault[] {
  return faults.filter(({ part, error }) => part === own.name || !isForbidden(error));
}

interface Outcome {
  reason: string;
  /** The failures of the last attempt that ended, if one did. */
  faults: Fault[] | undefined;
  /** Those of them that matter; undefined when the time was over first. */
  seriously: Fault[] | undefined;
}

function tell(log: Logger, { reason, faults = [], seriously }: Outcome): void {
  const unseen = new CleanupError(faults).message;
  if (seriously === undefined || seriously.length > 0) {
    const why = seriously === undefined ? `the time was over${unseen && `; ${unseen}`}` : unseen;
    log.error(
      `the installation is removed (${reason}), and the node could not be cleaned whole: run cleanup on it (${why})`,
    );
  } else if (faults.length > 0) {
    log.warn(
      `the installation is removed (${reason}): rules and flows are gone, as far as this agent may look: if it was ever held by another backend, run cleanup on the node (${unseen})`,
    );
  } else log.info(`the installation is removed (${reason}): rules and flows are gone`);
}
