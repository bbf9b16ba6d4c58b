import { stampSet, tableName } from "../ruleset/nftables.ts";
import { type Clock, systemClock } from "../schedule.ts";
import { type Follow, follow } from "./command.ts";

/** Milliseconds between two hints: the shortest, doubling up to the longest while one follows the other, then anew. */
const gaps = { shortest: 100, longest: 1_000, forgotten: 5_000 };

/** Milliseconds until an ended `nft monitor` is started again, doubling, and how long one lasts that did its work. */
const restarts = { shortest: 1_000, longest: 300_000, healthy: 60_000 };

/** What a monitor works with. */
export interface MonitorParts {
  follow: Follow;
  clock: Clock;
}

/**
 * Sees in `nft monitor` that somebody else was at our table. It is a hint and nothing more: whatever it misses, the next
 * look at the table finds. The kernel tells of our own transactions too; they bring a stamp that was not there before.
 */
export class Monitor {
  readonly #parts: MonitorParts;
  readonly #table: RegExp;
  readonly #stamp: RegExp;
  #hint = () => {};
  /** Of the transaction that is being told. */
  #touched = false;
  #stamped: string | undefined;
  /** The youngest; a ruleset that somebody saved and loads again brings an older one. */
  #lastStamp = "";
  #rest = "";
  #cancelHint: (() => void) | undefined;
  #lastHint = Number.NEGATIVE_INFINITY;
  #gap = gaps.shortest;

  constructor(instance: string, parts: Partial<MonitorParts> = {}) {
    this.#parts = { follow, clock: systemClock, ...parts };
    const name = tableName(instance).replaceAll(".", "\\.");
    this.#table = new RegExp(` inet ${name}( |$)`);
    this.#stamp = new RegExp(`^add element inet ${name} ${stampSet} \\{ (.*) \\}`);
  }

  /** Calls `hint` when somebody else was at our table, until the signal aborts. What cannot be followed is tried again. */
  async run(hint: () => void, signal: AbortSignal, failed: (error: unknown) => void): Promise<void> {
    this.#hint = hint;
    const { clock } = this.#parts;
    let wait = restarts.shortest;
    while (!signal.aborted) {
      const started = clock.now();
      [this.#touched, this.#stamped, this.#rest] = [false, undefined, ""];
      await this.#parts.follow("nft", ["monitor"], (text) => this.#take(text), signal).catch(failed);
      if (clock.now() - started > restarts.healthy) wait = restarts.shortest;
      await this.#pause(wait, signal);
      wait = Math.min(wait * 2, restarts.longest);
    }
    this.#cancelHint?.();
  }

  /** A transaction is told line by line, and closed by `# new generation 7 by process 123 (nft)`. */
  #take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("# new generation")) this.#end();
      else if (this.#table.test(line)) {
        this.#touched = true;
        this.#stamped ??= this.#stamp.exec(line)?.[1];
      }
    }
  }

  #end(): void {
    const stamp = this.#stamped ?? "";
    const foreign = this.#touched && stamp <= this.#lastStamp;
    if (stamp > this.#lastStamp) this.#lastStamp = stamp;
    [this.#touched, this.#stamped] = [false, undefined];
    if (foreign) this.#suspect();
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
      this.#hint();
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
