import type { Logger } from "pino";
import type { Api } from "./api.ts";
import { cleanUp } from "./cleanup.ts";
import type { Config } from "./config.ts";
import { departure, type Home, mayAsk } from "./departure.ts";
import { serveHealth } from "./health.ts";
import { watchPods } from "./pods.ts";
import { type Applied, endStaleFlows, type Kernel, reconcile, type Sync } from "./reconcile.ts";
import { createSchedule } from "./schedule.ts";
import { Status } from "./status.ts";

/** Everything that one agent works with. */
export interface AgentParts {
  config: Config;
  nodeName: string;
  /** Absent when nothing can tell whether the installation is being removed; its rules then always stay. */
  home: Home | undefined;
  api: Api;
  kernel: Kernel;
  log: Logger;
}

/** Milliseconds. */
const intervals = { minimum: 10, maximum: 5_000, retry: 500 };

/** Milliseconds after which a pass also looks at what others did to the table and at the flows: two commands. */
const inspectionInterval = 4_500;

/**
 * Keeps the node's magic IPs in step until the signal aborts. Nothing in the kernel is touched before every selector
 * was listed once, and nothing is removed at the end unless the whole installation goes.
 * @throws {HealthPortError}
 */
export async function runAgent(
  { config, nodeName, home, api, kernel, log }: AgentParts,
  signal: AbortSignal,
): Promise<void> {
  const status = new Status();
  const health = await serveHealth(config.healthPort, () => status.report());
  const permitted = mayAsk(api, home, signal);
  const stopped = new AbortController();

  const sync = new SyncPass(config, nodeName, () => pods.pods(), kernel, status, log);
  const schedule = createSchedule(() => sync.run(), intervals);
  const pods = watchPods(api, config, nodeName, new PodLog(schedule, status, log), stopped.signal);
  log.info(
    `watching pods on node ${nodeName} for ${config.addresses.map(({ ipAddress }) => ipAddress).join(", ")}`,
  );

  await aborted(signal);
  stopped.abort();
  await schedule.stop();
  const { removed, reason } = await departure(api, home, await permitted);
  if (removed) await cleanUp(config.instance);
  log.info(
    removed
      ? `the installation is removed (${reason}): rules and flows are gone`
      : `ending, the rules stay: ${reason}`,
  );
  health.close();
}

/** What one pass remembers for the next. */
class SyncPass {
  #applied: Applied | undefined;
  #inspected = Number.NEGATIVE_INFINITY;
  #problems = "";

  constructor(
    readonly config: Config,
    readonly nodeName: string,
    readonly pods: () => ReturnType<ReturnType<typeof watchPods>["pods"]>,
    readonly kernel: Kernel,
    readonly status: Status,
    readonly log: Logger,
  ) {}

  /** Whether the kernel holds what it should. */
  async run(): Promise<boolean> {
    const pods = this.pods();
    if (pods === undefined) return true;
    const { config, nodeName, kernel } = this;
    const inspect = performance.now() - this.#inspected >= inspectionInterval;
    try {
      const sync = await reconcile({ config, nodeName, pods, last: this.#applied, verify: inspect }, kernel);
      this.#applied = sync.applied;
      this.#tell(sync);
      if (inspect || sync.outcome !== "same") await this.#endStaleFlows(sync);
      if (inspect) this.#inspected = performance.now();
      return true;
    } catch (error) {
      this.#tellFailure(error);
      return false;
    }
  }

  #tell(sync: Sync): void {
    if (sync.outcome === "repaired")
      this.log.warn("the table was changed or removed by somebody else and is restored");
    for (const line of this.status.synced(sync)) this.log.info(line);
    const problems = sync.state.problems.map(({ message }) => message).join("; ");
    if (problems !== this.#problems && problems !== "") this.log.debug(problems);
    this.#problems = problems;
  }

  #tellFailure(error: unknown): void {
    const message = `the rules could not be brought up to date, the last ones stay: ${error instanceof Error ? error.message : error}`;
    if (!this.status.report().reasons.includes(message)) this.log.error({ err: error }, message);
    this.status.failed(message);
  }

  /** The live set already cuts what must not go on; without conntrack a UDP flow only takes longer to move. */
  async #endStaleFlows({ state }: Sync): Promise<void> {
    try {
      const ended = await endStaleFlows(state, this.kernel);
      if (ended > 0) this.log.debug(`${ended} kinds of stale flows are ended`);
      this.status.trouble("conntrack", undefined);
    } catch (error) {
      const message = `stale flows could not be ended: ${error instanceof Error ? error.message : error}`;
      if (!this.status.report().reasons.includes(message)) this.log.warn(message);
      this.status.trouble("conntrack", message);
    }
  }
}

class PodLog {
  #trouble: string | undefined;

  constructor(
    readonly schedule: { trigger(): void },
    readonly status: Status,
    readonly log: Logger,
  ) {}

  changed(): void {
    this.schedule.trigger();
  }

  trouble(message: string | undefined): void {
    if (message !== undefined && message !== this.#trouble)
      this.log.warn(`${message}; the last known rules stay`);
    if (message === undefined && this.#trouble !== undefined) this.log.info("the API server answers again");
    this.#trouble = message;
    this.status.trouble("api", message);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
