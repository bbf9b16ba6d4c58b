import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { isAlive, markOf, type ProcessMark } from "../support/process.ts";
import { until } from "./patience.ts";

/** Runs argv in a session of its own, out of reach of the terminal's Ctrl-C, with its output in a log. */
export function launch(argv: readonly string[], log: string): ProcessMark {
  const [program = "", ...args] = argv;
  mkdirSync(dirname(log), { recursive: true });
  const output = openSync(log, "a");
  const child = spawn(program, args, { detached: true, stdio: ["ignore", output, output], cwd: "/" });
  child.on("error", () => {}); // A program that is not there has no pid, which is told below.
  child.unref();
  closeSync(output);
  const mark = child.pid === undefined ? undefined : markOf(child.pid);
  if (!mark) throw new Error(`cannot start ${program}: it is not on the PATH, or it ended at once (${log})`);
  return mark;
}

/**
 * Ends what was launched, and returns when it is gone: `ask` gives it five seconds to end by itself, `kill` none.
 * The signal goes to the process group: `nsenter` stays there as the parent of the program that it took into a machine.
 */
export async function endLaunched(mark: ProcessMark, how: "ask" | "kill"): Promise<void> {
  const family = [mark, ...childrenOf(mark.pid)];
  const patience = { what: `process ${mark.pid} to end`, seconds: 5 };
  const gone = () => !family.some(isAlive);
  if (how === "ask") {
    signalGroup(mark.pid, "SIGTERM");
    await until(patience, gone).catch(() => {});
  }
  signalGroup(mark.pid, "SIGKILL");
  await until(patience, gone);
}

/** The processes that a process started and that run. */
export function childrenOf(pid: number): ProcessMark[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ");
    return children.map((child) => markOf(Number(child))).filter((mark) => mark !== undefined);
  } catch {
    return [];
  }
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
