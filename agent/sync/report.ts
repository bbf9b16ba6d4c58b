import type { Logger } from "pino";
import type { Config } from "../config/config.ts";
import type { NodeFacts } from "../desired/node.ts";
import type { Problem, Sync } from "../desired/state.ts";
import type { Status } from "../status/status.ts";
import type { Kernel } from "./inspector.ts";

/** The receivers of reports about syncs and looks. */
export interface ReportParts {
  config: Config;
  kernel: Kernel;
  status: Status;
  log: Logger;
  /** Called once for each conflict with another installation, when it is found. */
  conflict(problem: Problem): void;
}

/** Reports syncs and looks: changes to the log, the current state to the status. */
export class SyncReport {
  #problems = "";
  #conflicts = new Set<string>();
  /** The kernel's shortfall and warning that were logged last. */
  #told = { shortfall: "", warning: "" };

  constructor(readonly parts: ReportParts) {}

  /** Reports a sync that succeeded after `seconds`. `blindness`: why the last look failed. */
  synced(sync: Sync, seconds: number, blindness: string | undefined): void {
    const { status, log } = this.parts;
    if (sync.outcome === "repaired")
      log.warn("the rules were changed or removed by somebody else and are restored");
    for (const line of status.synced(sync, seconds)) log.info(line);
    const { shortfall = "", warning = "" } = this.parts.kernel;
    if (shortfall !== this.#told.shortfall && shortfall !== "") log.error(shortfall);
    if (warning !== this.#told.warning && warning !== "") log.warn(warning);
    this.#told = { shortfall, warning };
    status.trouble("rules", warning || undefined);
    const failure = blindness ?? (shortfall || undefined);
    if (failure !== undefined) status.fails(failure);
    this.#conflict(sync.state.problems.filter(({ code }) => code === "CONFLICT"));
    const problems = sync.state.problems.map(({ message }) => message).join("; ");
    if (problems !== this.#problems && problems !== "") log.debug(problems);
    this.#problems = problems;
  }

  /** Reports a sync or a look that failed; returns the message for people. */
  failed(error: unknown): string {
    const { status, log } = this.parts;
    const message = `the rules could not be brought up to date, the last ones stay: ${sentence(error)}`;
    if (status.failed(message)) log.error({ err: error }, message);
    return message;
  }

  /** Reports a look. Other programs change the node's routes, and so what the guard lets in; that must be logged. */
  looked(before: NodeFacts | undefined, { uplinks, trouble }: NodeFacts): void {
    const { config, status, log } = this.parts;
    if (status.trouble("routes", trouble) && trouble !== undefined) log.warn(trouble);
    if (!config.outsideGuard || before?.uplinks.join() === uplinks.join()) return;
    const list = uplinks.length === 0 ? "no interface" : uplinks.join(", ");
    const text = `what comes in by ${list} is from outside the node`;
    if (before === undefined) log.info(text);
    else {
      status.uplinksChanged();
      log.warn(`${text}; until now: ${before.uplinks.join(", ") || "no interface"}`);
    }
  }

  #conflict(conflicts: Problem[]): void {
    const news = conflicts.filter(({ message }) => !this.#conflicts.has(message));
    for (const problem of news) this.parts.conflict(problem);
    this.#conflicts = new Set(conflicts.map(({ message }) => message));
  }
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
