import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

/** What the agent's log says: when a target was in the kernel. */
export class AgentLog {
  /** Milliseconds since 1970, by the target's IP. */
  readonly #times = new Map<string, number>();
  /** All that was said. */
  readonly lines: string[] = [];

  constructor({ stdout }: { stdout: Readable }) {
    createInterface({ input: stdout }).on("line", (line) => this.#take(line));
  }

  /** How many targets there were. */
  get targets(): number {
    return this.#times.size;
  }

  /** When the first binding to that IP was logged, which is right after the commit. */
  async committed(ip: string): Promise<number> {
    const deadline = Date.now() + 60_000;
    while (Date.now() < deadline) {
      const time = this.#times.get(ip);
      if (time !== undefined) return time;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`no target ${ip} within 60 s; the agent said last: ${this.lines.slice(-3).join("\n")}`);
  }

  #take(line: string): void {
    const ip = /→ \S+ ([0-9.]+):\d+/.exec(line)?.[1];
    const time = /"time":"([^"]+)"/.exec(line)?.[1];
    if (ip !== undefined && time !== undefined && !this.#times.has(ip)) this.#times.set(ip, Date.parse(time));
    if (ip === undefined) this.lines.push(line);
  }
}
