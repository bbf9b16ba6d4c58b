import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

/** What the agent's log says: when a target was in the kernel. */
export class AgentLog {
  /** Milliseconds since 1970, by the target's IP. */
  readonly #times = new Map<string, number>();
  /** The same by `namespace/name`. */
  readonly #podTimes = new Map<string, number>();
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
    return this.#known(this.#times, ip);
  }

  /** The same of a pod, `namespace/name`. */
  async committedPod(pod: string): Promise<number> {
    return this.#known(this.#podTimes, pod);
  }

  async #known(times: Map<string, number>, target: string): Promise<number> {
    const deadline = Date.now() + 60_000;
    while (Date.now() < deadline) {
      const time = times.get(target);
      if (time !== undefined) return time;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(
      `no target ${target} within 60 s; the agent said last: ${this.lines.slice(-3).join("\n")}`,
    );
  }

  #take(line: string): void {
    const [, pod, ip] = /→ (\S+) ([0-9.]+):\d+/.exec(line) ?? [];
    const time = /"time":"([^"]+)"/.exec(line)?.[1];
    if (pod === undefined || ip === undefined || time === undefined) {
      this.lines.push(line);
      return;
    }
    keepFirst(this.#times, ip, Date.parse(time));
    keepFirst(this.#podTimes, pod, Date.parse(time));
  }
}

function keepFirst(times: Map<string, number>, target: string, time: number): void {
  if (!times.has(target)) times.set(target, time);
}
