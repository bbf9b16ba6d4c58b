import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { follow } from "../../agent/netfilter/command.ts";
import { Monitor } from "../../agent/netfilter/monitor.ts";

const table = "inet magic-ip-test.echo";
const generation = (number: number) => `# new generation ${number} by process 123 (nft)`;
const stamp = (number: number) =>
  `add element ${table} written { 0x6b03db35 . 0x${String(number).padStart(8, "0")} }`;

/** A monitor that hears what a test says, and the times of its hints. */
class Heard {
  readonly hints: number[] = [];
  readonly #ending = new AbortController();
  readonly #ended: Promise<void>;
  #took = (_text: string) => {};
  time = 1_000_000;
  #timer: { at: number; callback: () => void } | undefined;

  constructor() {
    const clock = {
      now: () => this.time,
      setTimer: (milliseconds: number, callback: () => void) => {
        this.#timer = { at: this.time + milliseconds, callback };
        return () => (this.#timer = undefined);
      },
    };
    const monitor = new Monitor("test.echo", {
      clock,
      follow: async (_file, _args, took, signal) => {
        this.#took = took;
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      },
    });
    const hint = () => this.hints.push(this.time);
    this.#ended = monitor.run(hint, this.#ending.signal, () => {});
  }

  /** What nft prints, and how many hints came of it at once. */
  say(...lines: string[]): number {
    const before = this.hints.length;
    this.#took(lines.map((line) => `${line}\n`).join(""));
    this.pass(0);
    return this.hints.length - before;
  }

  part(text: string): void {
    this.#took(text);
  }

  pass(milliseconds: number): void {
    this.time += milliseconds;
    const timer = this.#timer;
    if (timer === undefined || timer.at > this.time) return;
    this.#timer = undefined;
    timer.callback();
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#ended;
  }
}

describe("the monitor hints at", () => {
  it.each([
    ["a flushed ruleset", [`delete chain ${table} nat-prerouting`, `delete table ${table}`]],
    ["a deleted element", [`delete element ${table} live4 { 169.254.210.210 . 10.244.1.7 }`]],
    ["a foreign rule", [`add rule ${table} nat-prerouting drop`]],
    ["a set of the same stamp once more", [`delete table ${table}`, `add table ${table}`, stamp(1)]],
  ])("%s", async (_, lines) => {
    const heard = new Heard();
    expect(heard.say(stamp(1), generation(1))).toBe(0);
    expect(heard.say(...lines, generation(2))).toBe(1);
    await heard.stop();
  });

  it("what it is told in pieces", async () => {
    const heard = new Heard();
    heard.part(`delete table ${table.slice(0, 9)}`);
    heard.part(`${table.slice(9)}\n# new gen`);
    expect(heard.say("eration 3 by process 123 (nft)")).toBe(1);
    await heard.stop();
  });
});

describe("the monitor is silent about", () => {
  it("our own transactions", async () => {
    const heard = new Heard();
    expect(heard.say(`delete table ${table}`, `add table ${table}`, stamp(9), generation(1))).toBe(0);
    expect(heard.say(`delete element ${table} written { … }`, stamp(10), generation(2))).toBe(0);
    await heard.stop();
  });

  it("other tables, also with a name that begins like ours, or that a dot of ours would match", async () => {
    const heard = new Heard();
    const others = ["inet other", `${table}-2`, table.replace("test.", "testx"), "ip magic-ip-test.echo"];
    for (const other of others) expect(heard.say(`delete table ${other}`, generation(1)), other).toBe(0);
    await heard.stop();
  });
});

it("hints come at once, and spaced up to a second while they do not end", async () => {
  const heard = new Heard();
  const started = heard.time;
  for (let tenth = 0; tenth < 100; tenth++) {
    heard.say(`delete table ${table}`, generation(tenth));
    heard.pass(100);
  }
  expect(heard.hints[0]).toBe(started);
  expect(heard.hints.length).toBeLessThan(15);
  expect(heard.time - (heard.hints.at(-1) ?? 0)).toBeLessThanOrEqual(1_100);
  heard.pass(6_000);
  const quiet = heard.hints.length;
  heard.pass(6_000);
  expect(heard.hints.length).toBe(quiet);
  expect(heard.say(`delete table ${table}`, generation(1000))).toBe(1);
  await heard.stop();
});

it("an nft monitor that ends is started again, less and less often", async () => {
  const starts: number[] = [];
  const failures: unknown[] = [];
  const waits: number[] = [];
  const ending = new AbortController();
  const clock = {
    now: () => 0,
    setTimer: (milliseconds: number, callback: () => void) => {
      waits.push(milliseconds);
      setImmediate(waits.length === 12 ? () => ending.abort() : callback);
      return () => {};
    },
  };
  const follow = () => Promise.reject(new Error(`start ${starts.push(0)}`));
  await new Monitor("x", { clock, follow }).run(
    () => {},
    ending.signal,
    (error) => failures.push(error),
  );
  expect(starts).toHaveLength(12);
  expect(failures).toHaveLength(12);
  expect(waits.slice(0, 4)).toEqual([1_000, 2_000, 4_000, 8_000]);
  expect(waits.at(-1)).toBe(300_000);
});

describe("a tool that is followed", () => {
  const forever = new AbortController().signal;

  it("is heard while it runs, and ends with the signal", async () => {
    const ending = new AbortController();
    let heard = "";
    const took = (text: string) => (heard += text);
    const ended = follow("sh", ["-c", "echo $$; exec sleep 63.1"], took, ending.signal);
    while (!heard.includes("\n")) await delay(10);
    expect(isAlive(heard)).toBe(true);
    ending.abort();
    await ended;
    expect(isAlive(heard)).toBe(false);
  });

  it("is told to have ended when it does, or when there is none", async () => {
    await expect(follow("sh", ["-c", "exit 3"], () => {}, forever)).rejects.toThrow("sh -c exit 3 has ended");
    await expect(follow("/nowhere/nft", ["monitor"], () => {}, forever)).rejects.toThrow("has ended");
  });
});

function isAlive(id: string): boolean {
  try {
    return process.kill(Number(id), 0);
  } catch {
    return false;
  }
}
