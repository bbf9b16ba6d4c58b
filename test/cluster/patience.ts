import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const LAST_LINES = 15;
const POLL_MS = 50;

/** How long to wait for something, and where to look when it does not come. */
export interface Patience {
  what: string;
  seconds: number;
  /** The log whose end explains a failure. */
  log?: string;
  /** Says why waiting on is of no use; undefined as long as it is. */
  hopeless?: () => string | undefined;
}

/** Waits until `check` gives something other than undefined or false; throws with the log's last lines otherwise. */
export async function until<T>(
  { what, seconds, log, hopeless }: Patience,
  check: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  while (true) {
    const result = await check();
    if (result !== undefined && result !== false) return result;
    const reason = hopeless?.() ?? (performance.now() > deadline ? `not after ${seconds} s` : undefined);
    if (reason) throw new Error(`waited for ${what}: ${reason}${log ? `\n${lastLines(log)}` : ""}`);
    await sleep(POLL_MS);
  }
}

/** Waits for all to end, well or not, and then throws the first failure: nothing goes on behind the back of who cleans up. */
export async function together(work: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(work);
  const failure = results.find((result) => result.status === "rejected");
  if (failure) throw failure.reason;
}

/** A log's name and its end, for a message. */
export function lastLines(log: string): string {
  try {
    const lines = readFileSync(log, "utf8").trimEnd().split("\n").slice(-LAST_LINES);
    return `last lines of ${log}:\n${lines.map((line) => `    ${line}`).join("\n")}`;
  } catch {
    return `(there is no log ${log})`;
  }
}
