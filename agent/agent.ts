import type { Logger } from "pino";
import type { Api } from "./api.ts";
import { cleanUp } from "./cleanup.ts";
import { departure, type Home, mayAsk } from "./departure.ts";
import { serveHealth } from "./health.ts";
import { type PodListener, watchPods } from "./pods.ts";
import { createSchedule } from "./schedule.ts";
import { Status } from "./status.ts";
import { FlowPass, type PassParts, SyncPass } from "./sync.ts";

/** Everything that one agent works with. */
export interface AgentParts extends Omit<PassParts, "status"> {
  api: Api;
  /** Absent when nothing can tell whether the installation is being removed; its rules then always stay. */
  home: Home | undefined;
}

/** Milliseconds: rules follow the pods at once, and are looked at every five seconds. */
const syncIntervals = { minimum: 10, maximum: 5_000, retry: 500 };

/** Milliseconds: flows follow the rules at once; a listing of all of them costs up to 100 ms on a busy node. */
const flowIntervals = { minimum: 50, maximum: 60_000, retry: 5_000 };

/**
 * Keeps the node's magic IPs in step until the signal aborts. Nothing in the kernel is touched before every selector
 * was listed once, and nothing is removed at the end unless the whole installation goes.
 * @throws {HealthPortError}
 */
export async function runAgent(agent: AgentParts, signal: AbortSignal): Promise<void> {
  const { config, nodeName, home, api, log } = agent;
  const status = new Status();
  const health = await serveHealth(config.healthPort, () => status.report());
  // Before the pods are asked for, so that one connection serves for both and for the watch after them.
  const permitted = await mayAsk(api, home, AbortSignal.any([signal, AbortSignal.timeout(2_000)]));
  const stopped = new AbortController();

  const flow = new FlowPass({ ...agent, status });
  const sync = new SyncPass({ ...agent, status });
  const flows = createSchedule(() => flow.run(sync.state), flowIntervals);
  const rules = createSchedule(() => sync.run(pods, flows.trigger), syncIntervals);
  const pods = watchPods(api, config, nodeName, podListener(rules.trigger, status, log), stopped.signal);
  const ipAddresses = config.addresses.map(({ ipAddress }) => ipAddress).join(", ");
  log.info(`watching pods on node ${nodeName} for ${ipAddresses}`);

  await aborted(signal);
  stopped.abort();
  await Promise.all([rules.stop(), flows.stop()]);
  await leave(agent, permitted);
  health.close();
}

function podListener(changed: () => void, status: Status, log: Logger): PodListener {
  return {
    changed,
    trouble(source, message) {
      const isNew = status.trouble(source, message === undefined ? undefined : `${source}: ${message}`);
      if (message !== undefined && isNew) log.warn(`${source}: ${message}; the last known rules stay`);
      if (message === undefined) log.info(`${source}: the API server answers again`);
    },
  };
}

async function leave({ api, home, config, log }: AgentParts, permitted: boolean): Promise<void> {
  const { removed, reason } = await departure(api, home, permitted);
  if (!removed) return log.info(`ending, the rules stay: ${reason}`);
  try {
    await cleanUp(config.instance);
    log.info(`the installation is removed (${reason}): rules and flows are gone`);
  } catch (error) {
    log.error(
      { err: error },
      "the installation is removed, and the node could not be cleaned: run cleanup on it",
    );
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
