import { tableName } from "../ruleset/nftables/table.ts";
import { type Clock, systemClock } from "../schedule.ts";
import { type Converse, converse } from "./command.ts";
import { Lines, program } from "./netlink.ts";

/** Milliseconds between two hints: `shortest`, doubled up to `longest` for one within `forgotten` of the last. */
const gaps = { shortest: 100, longest: 1_000, forgotten: 5_000 };

/** Milliseconds until a program that ended is started again: doubled each time, until one has run for `healthy`. */
const restarts = { shortest: 1_000, longest: 300_000, healthy: 60_000 };

/** What a monitor works with. */
export interface MonitorParts {
  start: Converse;
  clock: Clock;
}

/** What a monitor reports. */
export interface Hints {
  /** A foreign change of our table, or another installation's table was removed. */
  rules(): void;
  /** The node's interfaces or routes have changed. */
  network(): void;
}

/**
 * Reports foreign changes of our table, and changes of the node's network, as the netlink program hears them from the
 * kernel. A report is only a hint: the next look finds what the monitor misses.
 */
export class Monitor {
  readonly #parts: MonitorParts;
  #hints: Hints = { rules: () => {}, network: () => {} };
  #cancelHint: (() => void) | undefined;
  #lastHint = Number.NEGATIVE_INFINITY;
  #gap = gaps.shortest;

  constructor(
    readonly instance: string,
    parts: Partial<MonitorParts> = {},
  ) {
    this.#parts = { start: converse, clock: systemClock, ...parts };
  }

  /** Gives hints until the signal aborts. A program that ends is started again. */
  async run(hints: Hints, signal: AbortSignal, failed: (error: unknown) => void): Promise<void> {
    this.#hints = hints;
    const { clock } = this.#parts;
    let wait = restarts.shortest;
    while (!signal.aborted) {
      const started = clock.now();
      await this.#listen(signal);
      if (!signal.aborted) failed(new Error(`${program} watch has ended`));
      if (clock.now() - started > restarts.healthy) wait = restarts.shortest;
      await this.#pause(wait, signal);
      wait = Math.min(wait * 2, restarts.longest);
    }
    this.#cancelHint?.();
  }

  /** Until the program ends, or the signal aborts. */
  async #listen(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const end = () => {
        conversation.end();
        signal.removeEventListener("abort", end);
        resolve();
      };
      const lines = new Lines(({ event }) => this.#take(event), end);
      const heard = (text: string) => lines.take(text);
      const conversation = this.#parts.start(program, ["watch", tableName(this.instance)], heard, end);
      signal.addEventListener("abort", end);
      if (signal.aborted) end();
    });
  }

  #take(event: unknown): void {
    if (event === "rules") this.#suspect();
    if (event === "network") this.#hints.network();
  }

  #suspect(): void {
    if (this.#cancelHint !== undefined) return;
    const { clock } = this.#parts;
    const now = clock.now();
    const isFollowUp = now - this.#lastHint < gaps.forgotten;
    this.#gap = isFollowUp ? Math.min(this.#gap * 2, gaps.longest) : gaps.shortest;
    const at = Math.max(now, this.#lastHint + this.#gap);
    this.#cancelHint = clock.setTimer(at - now, () => {
      this.#cancelHint = undefined;
      this.#lastHint = clock.now();
      this.#hints.rules();
    });
  }

  async #pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        cancel();
        signal.removeEventListener("abort", end);
        resolve();
      };
      const cancel = this.#parts.clock.setTimer(milliseconds, end);
      signal.addEventListener("abort", end);
    });
  }
}
