/** The part of time that a schedule needs; tests bring their own. */
export interface Clock {
  now(): number;
  setTimer(milliseconds: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (milliseconds, callback) => {
    const timer = setTimeout(callback, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Milliseconds. */
export interface Intervals {
  /** Between the starts of two runs that succeeded; what is triggered meanwhile becomes one run. */
  minimum: number;
  /** After which a run is made although nothing triggered it. */
  maximum: number;
  /** After a failed run; doubles with each further failure, up to `longestRetry`, or else `maximum`. */
  retry: number;
  longestRetry?: number;
}

export interface Schedule {
  /** Something may have changed: run as soon as the intervals allow. */
  trigger(): void;
  /** No run starts after this; resolves when the one under way has ended. */
  stop(): Promise<void>;
}

/**
 * Runs `run` when triggered, one at a time, with three guarantees: never more often than `minimum`, at least every
 * `maximum`, and again after `retry` when it failed. The first trigger after a quiet time runs at once. `failed` is told of a
 * run that was rejected.
 */
export function createSchedule(
  run: () => Promise<boolean>,
  intervals: Intervals,
  { clock = systemClock, failed = () => {} }: { clock?: Clock; failed?(error: unknown): void } = {},
): Schedule {
  let cancelTimer = () => {};
  let running: Promise<void> | undefined;
  let triggered = false;
  let stopped = false;
  let failures = 0;
  let started = Number.NEGATIVE_INFINITY;

  const plan = (milliseconds: number) => {
    cancelTimer();
    if (!stopped) cancelTimer = clock.setTimer(Math.max(0, milliseconds), start);
  };

  const start = () => {
    started = clock.now();
    triggered = false;
    running = run().then(ended, (error: unknown) => {
      failed(error);
      ended(false);
    });
  };

  const ended = (succeeded: boolean) => {
    running = undefined;
    failures = succeeded ? 0 : failures + 1;
    plan(nextIn());
  };

  const nextIn = () => {
    const { minimum, maximum, retry, longestRetry = maximum } = intervals;
    if (failures > 0) return Math.min(longestRetry, retry * 2 ** (failures - 1));
    return triggered ? started + minimum - clock.now() : maximum;
  };

  return {
    trigger() {
      triggered = true;
      if (running === undefined && failures === 0) plan(nextIn());
    },
    async stop() {
      stopped = true;
      cancelTimer();
      await running;
    },
  };
}
