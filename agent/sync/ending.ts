import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { cleanUp, CleanupError, type Fault, Removal } from "./cleanup.ts";
import type { Config } from "../config/config.ts";
import type { Departure } from "../kubernetes/departure.ts";
import type { Backend, Flows } from "../kernel.ts";
import { isForbidden } from "../netfilter/choice.ts";

/**
 * Milliseconds from the signal. What runs has 1.5 s, then its tools are ended: no write may come after the rules were removed.
 * The API server's answer is waited for until `departure`; where the rules stay, the process ends then, because a node that
 * goes down has little time. A removal is tried until `removal`: a pod has 10 s (the chart's terminationGracePeriodSeconds),
 * and a table that is left keeps the next installation from its IPs for 5 minutes.
 */
export const endTimes = { tools: 1_500, passes: 2_200, departure: 4_600, removal: 8_500, process: 9_000 };

/** What is needed to leave the node. */
export interface EndingParts {
  config: Config;
  backend: Backend;
  everyBackend(): Promise<Backend[]>;
  flows: Flows;
  log: Logger;
}

/** When the signal aborts, or did; then what is left of a time that began with it. */
export function endClock(signal: AbortSignal): { left(until: number): number } {
  // One that aborted before the agent had begun did so while a backend was looked for, which tools that are ended end.
  let began = signal.aborted ? performance.now() - endTimes.passes : Number.NaN;
  signal.addEventListener("abort", () => (began = performance.now()), { once: true });
  return { left: (until) => began + until - performance.now() };
}

/**
 * To be called when the agent is told to end, with the question whether its installation goes, which is asked at once; what
 * it returns, with what still runs. Resolves in time, whatever hangs.
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

/** What an action came to within the milliseconds; undefined when it failed or takes longer. */
async function within<T>(milliseconds: number, action: Promise<T>): Promise<T | undefined> {
  const waiting = new AbortController();
  const { signal } = waiting;
  const late = delay(Math.max(0, milliseconds), undefined, { signal }).catch(() => undefined);
  return await Promise.race([action.catch(() => undefined), late]).finally(() => waiting.abort());
}

/** Milliseconds between two attempts. */
const pause = 250;

/** Tries until it is done or the time is over. */
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

/** What a process may not look at, it cannot have written; only an earlier configuration can. */
function serious(faults: Fault[], own: Backend): Fault[] {
  return faults.filter(({ part, error }) => part === own.name || !isForbidden(error));
}

interface Outcome {
  reason: string;
  /** Of the last attempt that ended, if one did. */
  faults: Fault[] | undefined;
  /** Those that count; undefined when the time was over before. */
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
