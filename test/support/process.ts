import { readFileSync } from "node:fs";

/** A process that is recognised later even if its number was given to another one meanwhile. */
export interface ProcessMark {
  pid: number;
  /** Start time in clock ticks since boot (proc(5), field 22 of /proc/PID/stat). */
  started: string;
}

/** The mark of a process that runs now; undefined when there is none with this id, or only its zombie. */
export function markOf(pid: number): ProcessMark | undefined {
  try {
    // The command name, in parentheses, may itself hold spaces and parentheses: count fields after the last one.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state, started] = [fields[0], fields[19]];
    return started === undefined || state === "Z" || state === "X" ? undefined : { pid, started };
  } catch {
    return undefined;
  }
}

/** Whether the very process that was marked still runs. */
export function isAlive(mark: ProcessMark): boolean {
  return markOf(mark.pid)?.started === mark.started;
}
