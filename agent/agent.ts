import type { Logger } from "pino";
import type { Api } from "./kubernetes/api.ts";
import type { Config } from "./config/config.ts";
import { departure } from "./kubernetes/departure.ts";
import type { Frontend, HeldRules, Problem } from "./desired/state.ts";
import type { Finding } from "./finding.ts";
import { serveEndpoints } from "./status/endpoints.ts";
import { type Event, postEvent } from "./kubernetes/event.ts";
import { endClock, leave } from "./sync/ending.ts";
import { Examination } from "./doctor/examination.ts";
import { FlowPass } from "./sync/flowpass.ts";
import { type Backend, flowKinds, type Flows } from "./kernel.ts";
import { type Home, Installation } from "./kubernetes/installation.ts";
import { isForbidden } from "./netfilter/choice.ts";
import type { Monitor } from "./netfilter/monitor.ts";
import type { NodeFacts } from "./desired/node.ts";
import { type PodListener, watchPods } from "./kubernetes/pods.ts";
import { servingIps } from "./doctor/reach.ts";
import { createSchedule } from "./schedule.ts";
import { Status } from "./status/status.ts";
import { Syncer } from "./sync/sync.ts";
import { endStartup } from "./kubernetes/taint.ts";

/** Everything that one agent works with. */
export interface AgentParts {
  config: Config;
  nodeName: string;
  api: Api;
  /** Absent when nothing can tell whether the installation is being removed; its rules then always stay. */
  home: Home | undefined;
  backend: Backend;
  /** Every way to hold rules that works on this node: an agent with another configuration may have used another. */
  everyBackend(): Promise<Backend[]>;
  /** Tells at once of somebody else's hands at the rules; absent where only a look every few seconds does. */
  monitor: Monitor | undefined;
  flows: Flows;
  /** Where these pods of the node are live. */
  nodeFacts(podIps: string[]): Promise<NodeFacts>;
  /** What on this node would make traffic to these pods fail. */
  examine(podIps: string[]): Promise<Finding[]>;
  /** The health port is this process's own, and so whatever a kubelet hears from it until the process ends. */
  holdsHealthPort?(): void;
  log: Logger;
}

/** Milliseconds: rules follow the pods at once, and a tool that works again is soon found out. */
const syncIntervals = { minimum: 10, maximum: 4_000, retry: 500 };

/**
 * Milliseconds between two looks at the node and at what others did to the rules. With a tool that hangs for as long as
 * it may (5 s), the agent is not ready after less than 10 s. The monitor's hints are spaced by itself.
 */
const inspectionIntervals = { minimum: 50, maximum: 4_000, retry: 1_000 };

/** Milliseconds between two looks at the rest of the node; where one failed, a tool may have been away for a moment only. */
const examinationIntervals = { minimum: 5_000, maximum: 60_000, retry: 5_000 };

/** Milliseconds between two signs for other installations that this one's rules have an agent. */
const leaseIntervals = { minimum: 60_000, maximum: 60_000, retry: 5_000 };

/**
 * Keeps the node's magic IPs in step until the signal aborts. Rules that lead somewhere are not touched before a selector
 * was listed, those of an address not before its own was, and nothing is removed at the end unless the whole installation
 * goes.
 */
export async function runAgent(agent: AgentParts, signal: AbortSignal): Promise<void> {
  const { config, home, api, backend } = agent;
  const clock = endClock(signal);
  const [since, before] = await Promise.all([
    rulesSince(agent),
    backend.frontends(config.instance).catch(() => []),
  ]);
  const status = new Status(backend.name, since);
  const served = new AbortController();
  const posting = { ...agent, post: (event: Event) => post(agent, event) };
  const serving = serveEndpoints(posting, status, served.signal);
  const installation = new Installation(api, home);
  const left = new AbortController();
  const following = installation.run(left.signal);
  const stopped = new AbortController();
  const finished = keepInStep(agent, { status, before }, stopped.signal);

  await aborted(signal);
  const leaving = leave(agent, clock, () => departure(api, installation));
  stopped.abort();
  await leaving(finished);
  left.abort();
  served.abort();
  await Promise.all([following, serving]);
}

/** Rules of an agent before us serve on until the pods are known, however long the API server is away. */
async function rulesSince({ backend, config, log }: AgentParts): Promise<Date | undefined> {
  const seconds = await backend.writeTime(config.instance).catch(() => undefined);
  const since = new Date((seconds ?? Number.NaN) * 1000);
  // Also where another version, or another hand, wrote what is no time.
  if (Number.isNaN(since.getTime())) return undefined;
  const minutes = Math.max(0, Math.round((Date.now() - since.getTime()) / 60_000));
  log.info(
    `rules of this installation are there, last changed ${minutes} min ago: they stay until the pods are known`,
  );
  return since;
}

/** What an agent begins with. */
interface Start {
  status: Status;
  /** What the rules that were there are for. */
  before: Frontend[];
}

/** Until the signal aborts; resolves when nothing of it runs any more. */
async function keepInStep(agent: AgentParts, { status, before }: Start, signal: AbortSignal): Promise<void> {
  const { config, nodeName, api, log, backend } = agent;
  const examine = () => agent.examine(servingIps(pods.pods() ?? [], nodeName));
  const examination = new Examination({ examine, status, log });
  const flow = new FlowPass({ flows: agent.flows, before, status, log });
  const sync = new Syncer({
    ...agent,
    kernel: backend,
    held: () => heldRules(agent),
    status,
    conflict: (problem) => tell(agent, problem),
    around: (state, write) =>
      flow.around(state, write).finally(() => {
        for (const schedule of flows) schedule.trigger();
      }),
  });
  const flows = flowKinds.map((kind) => createSchedule(() => flow.run(kind, sync), flow[kind]));
  const takeOver = onceDone(() => {
    // Two looks at our own rules tell that nobody flushed all rules when those of another installation go (rivals.ts).
    inspections.trigger();
    return removeOthers(agent);
  });
  const rules = createSchedule(() => sync.run(pods, takeOver), syncIntervals);
  const looks = { node: false, kernel: true };
  const checks = createSchedule(async () => {
    const looked = await examination.run();
    looks.node = true;
    return looked;
  }, examinationIntervals);
  const inspections = createSchedule(async () => {
    const sees = await sync.inspect();
    // What failed here is mostly what the examination then found, too.
    if ((sees && !looks.kernel) || examination.isDue) checks.trigger();
    looks.kernel = sees;
    rules.trigger();
    return sees;
  }, inspectionIntervals);
  const pods = watchPods(api, config, nodeName, podListener(rules.trigger, status, log), signal);
  status.hears(() => pods.heard());
  const ipAddresses = config.addresses.flatMap(({ ipAddresses }) => ipAddresses).join(", ");
  log.info(`watching pods on node ${nodeName} for ${ipAddresses}`);
  const leases = createSchedule(async () => {
    await backend.refresh?.(config.instance);
    return true;
  }, leaseIntervals);
  for (const schedule of [checks, inspections, leases]) schedule.trigger();
  const suspect = () => {
    sync.suspect();
    inspections.trigger();
  };
  const hints = { rules: suspect, network: inspections.trigger };
  const monitoring = agent.monitor?.run(hints, signal, (error) =>
    log.debug({ err: error }, "the rules are not monitored, only looked at every few seconds"),
  );
  const isReady = () => looks.node && status.report().ready;
  const startup = config.startupTaint && endStartup({ api, nodeName, isReady, log }, signal);

  await aborted(signal);
  await Promise.all([monitoring, startup]);
  flow.end();
  await Promise.all([rules, inspections, ...flows, checks, leases].map((schedule) => schedule.stop()));
}

function podListener(changed: () => void, status: Status, log: Logger): PodListener {
  return {
    changed,
    trouble(source, message) {
      const isNew = status.trouble(
        source,
        message === undefined ? undefined : `${source}: ${message}`,
        "api",
      );
      if (message !== undefined && isNew) log.warn(`${source}: ${message}; the last known rules stay`);
      if (message === undefined) log.info(`${source}: the API server answers again`);
    },
  };
}

function tell(agent: AgentParts, { message }: Problem): void {
  agent.log.error(message);
  post(agent, { reason: "MagicIpConflict", message });
}

/** The log and the readiness say it in any case. */
function post({ api, home, nodeName, log }: AgentParts, event: Event): void {
  postEvent(api, home, nodeName, event).catch((error: unknown) =>
    log.debug({ err: error }, "the event could not be posted"),
  );
}

/** By whichever backend the agent before held them. */
async function heldRules({ backend, everyBackend, config, log }: AgentParts): Promise<HeldRules> {
  const own = await backend.held(config.instance);
  if (own.targets.size > 0) return own;
  for (const other of (await everyBackend()).filter(({ name }) => name !== backend.name)) {
    const theirs = await other.held(config.instance).catch((error: Error) => {
      log.warn(`where the rules lead that ${other.name} may hold cannot be read: ${error.message}`);
      return own;
    });
    if (theirs.targets.size > 0) return theirs;
  }
  return own;
}

/** After the first write, so that traffic goes on while the rules of an agent with another backend go. */
async function removeOthers({ backend, everyBackend, config, log }: AgentParts): Promise<void> {
  const others = (await everyBackend()).filter(({ name }) => name !== backend.name);
  for (const other of others) {
    const removed = await other.remove(config.instance).catch((error: Error) => {
      // What it may not look at, it did not write; the end of the installation says so, too.
      if (isForbidden(error)) return undefined;
      log.warn(
        `the rules that ${other.name} may hold for this installation stay until the next change: ${error.message}`,
      );
      throw error;
    });
    if (removed !== undefined)
      log.info(`the rules that ${other.name} held for this installation are removed`);
  }
}

function onceDone(action: () => Promise<void>): () => void {
  let begun = false;
  return () => {
    if (begun) return;
    begun = true;
    action().catch(() => {
      begun = false;
    });
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
