import { expect, it } from "vitest";
import type { Ending } from "../../agent/netfilter/command.ts";
import { Monitor } from "../../agent/netfilter/monitor.ts";

/** A monitor that hears what a test says, and the times of its hints. */
class Heard {
  readonly hints: number[] = [];
  networks = 0;
  words: string[] = [];
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
      start: (file, args, heard) => {
        this.words = [file, ...args];
        this.#took = heard;
        return { say: () => {}, end: () => {} };
      },
    });
    const hints = { rules: () => this.hints.push(this.time), network: () => this.networks++ };
    this.#ended = monitor.run(hints, this.#ending.signal, () => {});
  }

  /** What the program prints, and how many hints came of it at once. */
  say(text: string): number {
    const before = this.hints.length;
    this.#took(text);
    this.pass(0);
    return this.hints.length - before;
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

it("the program watches our table; what it tells, also in pieces, is a hint at the rules or at the network", async () => {
  const heard = new Heard();
  expect(heard.words).toEqual(["magic-ip-netlink", "watch", "magic-ip-test.echo"]);
  expect(heard.say('{"event":"watching"}\n{"event":"net')).toBe(0);
  expect(heard.say('work"}\n{"event":"rules"}\n')).toBe(1);
  expect(heard.networks).toBe(1);
  await heard.stop();
});

it("hints come at once, and spaced up to a second while they do not end", async () => {
  const heard = new Heard();
  const started = heard.time;
  for (let tenth = 0; tenth < 100; tenth++) {
    heard.say('{"event":"rules"}\n');
    heard.pass(100);
  }
  expect(heard.hints[0]).toBe(started);
  expect(heard.hints.length).toBeLessThan(15);
  expect(heard.time - (heard.hints.at(-1) ?? 0)).toBeLessThanOrEqual(1_100);
  heard.pass(6_000);
  const quiet = heard.hints.length;
  heard.pass(6_000);
  expect(heard.hints.length).toBe(quiet);
  expect(heard.say('{"event":"rules"}\n')).toBe(1);
  await heard.stop();
});

it.each([
  ["ends", (_heard: (text: string) => void, ended: (how: Ending) => void) => ended({ exitCode: 1 })],
  ["talks nonsense", (heard: (text: string) => void) => heard("}{\n")],
])("a program that %s is started again, less and less often", async (_, act) => {
  let starts = 0;
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
  const hints = { rules: () => {}, network: () => {} };
  const monitor = new Monitor("x", {
    clock,
    start: (_file, _args, heard, ended) => {
      starts++;
      setImmediate(() => act(heard, ended));
      return { say: () => {}, end: () => {} };
    },
  });
  await monitor.run(hints, ending.signal, (error) => failures.push(error));
  expect(starts).toBe(12);
  expect(failures).toHaveLength(12);
  expect(waits.slice(0, 4)).toEqual([1_000, 2_000, 4_000, 8_000]);
  expect(waits.at(-1)).toBe(300_000);
});
