/** The clock and timer of a schedule; tests use their own. */
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
  /** Between the starts of two runs that succeeded; all triggers in between cause one run. */
  minimum: number;
  /** From the end of a run to the next one without a trigger. */
  maximum: number;
  /** After a failed run; doubles with each further failure, up to `longestRetry`, else up to `maximum`. */
  retry: number;
  longestRetry?: number;
}

export interface Schedule {
  /** Requests a run as soon as the intervals allow, because something may have changed. */
  trigger(): void;
  /** Prevents further runs; resolves when the run under way has ended. */
  stop(): Promise<void>;
}

/**
 * Calls `run` when triggered, one run at a time, with three guarantees: never more often than `minimum`, at least every
 * `maximum`, and again after `retry` when it failed. The first trigger after a quiet time runs at once. `failed`
 * receives the error of a rejected run.
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
