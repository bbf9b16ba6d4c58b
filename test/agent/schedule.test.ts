import { describe, expect, it } from "vitest";
import { createSchedule } from "../../agent/schedule.ts";

/** Time that stands still until it is told to move. */
class TestClock {
  time = 0;
  #timers = new Map<number, { at: number; callback: () => void }>();
  #ids = 0;

  now = () => this.time;

  setTimer = (milliseconds: number, callback: () => void) => {
    const id = this.#ids++;
    this.#timers.set(id, { at: this.time + milliseconds, callback });
    return () => this.#timers.delete(id);
  };

  async advance(milliseconds: number): Promise<void> {
    const end = this.time + milliseconds;
    for (;;) {
      const [id, next] = [...this.#timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
      if (id === undefined || next === undefined || next.at > end) break;
      this.#timers.delete(id);
      this.time = Math.max(this.time, next.at);
      next.callback();
      await settled();
    }
    this.time = end;
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

function scheduleOf(outcomes: boolean[] = []) {
  const clock = new TestClock();
  const runs: number[] = [];
  const run = async () => {
    runs.push(clock.time);
    return outcomes[runs.length - 1] ?? true;
  };
  return {
    clock,
    runs,
    schedule: createSchedule(run, { minimum: 20, maximum: 5000, retry: 500 }, { clock }),
  };
}

describe("the schedule", () => {
  it("runs at once when something changed after a quiet time", async () => {
    const { clock, runs, schedule } = scheduleOf();
    clock.time = 1000;
    schedule.trigger();
    await clock.advance(0);
    expect(runs).toEqual([1000]);
  });

  it("makes one run of what is triggered within the minimum interval, and loses none of it", async () => {
    const { clock, runs, schedule } = scheduleOf();
    schedule.trigger();
    await clock.advance(1);
    for (let i = 0; i < 10; i++) schedule.trigger();
    await clock.advance(100);
    expect(runs).toEqual([0, 20]);
  });

  it("runs by itself after the maximum interval", async () => {
    const { clock, runs, schedule } = scheduleOf();
    schedule.trigger();
    await clock.advance(10_001);
    expect(runs).toEqual([0, 5000, 10_000]);
  });

  it("retries a failed run with doubling pauses that triggers do not shorten", async () => {
    const { clock, runs, schedule } = scheduleOf([false, false, false, true]);
    schedule.trigger();
    await clock.advance(100);
    schedule.trigger();
    await clock.advance(4000);
    expect(runs).toEqual([0, 500, 1500, 3500]);
  });

  it("runs again when triggered during a run", async () => {
    const clock = new TestClock();
    const runs: number[] = [];
    let finish = (_: boolean) => {};
    const run = () => {
      runs.push(clock.time);
      return new Promise<boolean>((resolve) => {
        finish = resolve;
      });
    };
    const schedule = createSchedule(run, { minimum: 20, maximum: 5000, retry: 500 }, { clock });
    schedule.trigger();
    await clock.advance(0);
    schedule.trigger();
    await clock.advance(50);
    expect(runs).toEqual([0]);
    finish(true);
    await settled();
    await clock.advance(0);
    expect(runs).toEqual([0, 50]);
  });

  it("starts nothing after it was stopped", async () => {
    const { clock, runs, schedule } = scheduleOf();
    schedule.trigger();
    await schedule.stop();
    await clock.advance(10_000);
    schedule.trigger();
    await clock.advance(10_000);
    expect(runs).toEqual([]);
  });
});
