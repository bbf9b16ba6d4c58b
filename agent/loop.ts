import type { Logger } from "pino";
import type { Config } from "./config/config.ts";
import type { NodeFacts } from "./desired/node.ts";
import type { Frontend, Problem } from "./desired/state.ts";
import { Examination } from "./doctor/examination.ts";
import { servingIps } from "./doctor/reach.ts";
import type { Finding } from "./finding.ts";
import { type Backend, flowKinds, type Flows } from "./kernel.ts";
import type { Api } from "./kubernetes/api.ts";
import { type PodListener, type PodSource, watchPods } from "./kubernetes/pods.ts";
import { endStartup } from "./kubernetes/taint.ts";
import type { Monitor } from "./netfilter/monitor.ts";
import { createSchedule, type Intervals, type Schedule } from "./schedule.ts";
import type { Status } from "./status/status.ts";
import { FlowPass } from "./sync/flowpass.ts";
import { Syncer } from "./sync/sync.ts";
import { heldRules, takeOver } from "./sync/takeover.ts";

/** What the loop works with. */
export interface LoopParts {
  config: Config;
  nodeName: string;
  api: Api;
  backend: Backend;
  /** Every backend present on this node: an agent with another configuration may have used another backend. */
  everyBackend(): Promise<Backend[]>;
  /** Reports foreign changes of the rules at once; undefined: only the look every few seconds finds them. */
  monitor: Monitor | undefined;
  flows: Flows;
  /** Reads the facts of a node on which these pods are live. */
  nodeFacts(podIps: string[]): Promise<NodeFacts>;
  /** Finds what on this node would make traffic to these pods fail. */
  examine(podIps: string[]): Promise<Finding[]>;
  /** Called once for each conflict with another installation, when it is found. */
  conflict(problem: Problem): void;
  /** The frontends of the rules that existed at the start. */
  before: Frontend[];
  status: Status;
  log: Logger;
}

/** Milliseconds. */
const intervals = {
  /** Rules follow the pods at once; after a failure of a tool the next attempt comes soon. */
  sync: { minimum: 10, maximum: 4_000, retry: 500 },
  /**
   * Between two looks at the node and for foreign changes: if a tool hangs for its 5 s, the agent is unready in 10 s.
   * The monitor limits the rate of its own hints.
   */
  inspection: { minimum: 50, maximum: 4_000, retry: 1_000 },
  /** Between two examinations of the rest of the node; a retry comes soon: a tool may be missing only briefly. */
  examination: { minimum: 5_000, maximum: 60_000, retry: 5_000 },
  /** Between two renewals of the lease, which tells other installations that an agent keeps these rules. */
  lease: { minimum: 60_000, maximum: 60_000, retry: 5_000 },
};

/** The repeated tasks of an agent, each with its own schedule: sync, inspection, examination, flows, lease. */
export class Loop {
  readonly #flowPass: FlowPass;
  readonly #syncer: Syncer;
  readonly #examination: Examination;
  readonly #sync: Schedule;
  readonly #inspection: Schedule;
  readonly #examinations: Schedule;
  readonly #lease: Schedule;
  readonly #flows: Schedule[];
  readonly #takeOver: () => void;
  #pods: PodSource | undefined;
  #hasWritten = false;
  #isExamined = false;
  /** Whether the last inspection succeeded. */
  #sees = true;

  constructor(readonly parts: LoopParts) {
    const { backend, config, flows, before, status, log } = parts;
    this.#flowPass = new FlowPass({ flows, before, status, log });
    this.#examination = new Examination({ examine: () => parts.examine(this.#servingIps()), status, log });
    this.#syncer = new Syncer({
      ...parts,
      kernel: backend,
      held: () => heldRules(parts),
      around: (state, write) => this.#flowPass.around(state, write).finally(() => this.#judgeFlows()),
    });
    this.#takeOver = takeOver(parts);
    this.#sync = this.#schedule("sync", () => this.#bringUpToDate(), intervals.sync);
    this.#inspection = this.#schedule("inspection", () => this.#inspect(), intervals.inspection);
    this.#examinations = this.#schedule("examination", () => this.#examine(), intervals.examination);
    this.#lease = this.#schedule("lease", () => this.#refresh(config.instance), intervals.lease);
    this.#flows = flowKinds.map((kind) =>
      this.#schedule(kind, () => this.#flowPass.run(kind, this.#syncer), this.#flowPass[kind]),
    );
  }

  /** Runs until the signal aborts; resolves when no task runs any more. */
  async run(signal: AbortSignal): Promise<void> {
    const { config, nodeName, api, status, log, monitor } = this.parts;
    const pods = watchPods(api, config, nodeName, this.#listener(), signal);
    this.#pods = pods;
    status.hears(() => pods.heard());
    const ipAddresses = config.addresses.flatMap(({ ipAddresses }) => ipAddresses).join(", ");
    log.info(`watching pods on node ${nodeName} for ${ipAddresses}`);
    for (const schedule of [this.#examinations, this.#inspection, this.#lease]) schedule.trigger();
    const hints = { rules: () => this.#suspect(), network: this.#inspection.trigger };
    const monitoring = monitor?.run(hints, signal, (error) =>
      log.debug({ err: error }, "the rules are not monitored, only looked at every few seconds"),
    );
    const isReady = () => this.#isExamined && status.report().ready;
    const startup = config.startupTaint && endStartup({ api, nodeName, isReady, log }, signal);
    await aborted(signal);
    await Promise.all([monitoring, startup]);
    this.#flowPass.end();
    const all = [this.#sync, this.#inspection, this.#examinations, this.#lease, ...this.#flows];
    await Promise.all(all.map((schedule) => schedule.stop()));
  }

  async #bringUpToDate(): Promise<boolean> {
    if (this.#pods === undefined) return true;
    return this.#syncer.run(this.#pods, () => {
      // If another installation's rules go, two looks at our own rules show that no program flushed all (rivals.ts).
      if (!this.#hasWritten) this.#inspection.trigger();
      this.#hasWritten = true;
      this.#takeOver();
    });
  }

  async #inspect(): Promise<boolean> {
    const sees = await this.#syncer.inspect();
    // The cause of a failed inspection is often a finding, too; after the recovery it may be gone.
    if ((sees && !this.#sees) || this.#examination.isDue) this.#examinations.trigger();
    this.#sees = sees;
    this.#sync.trigger();
    return sees;
  }

  async #examine(): Promise<boolean> {
    const examined = await this.#examination.run();
    this.#isExamined = true;
    return examined;
  }

  async #refresh(instance: string): Promise<boolean> {
    await this.parts.backend.refresh?.(instance);
    return true;
  }

  #judgeFlows(): void {
    for (const schedule of this.#flows) schedule.trigger();
  }

  /** The monitor saw a foreign change. */
  #suspect(): void {
    this.#syncer.suspect();
    this.#inspection.trigger();
  }

  #servingIps(): string[] {
    return servingIps(this.#pods?.pods() ?? [], this.parts.nodeName);
  }

  #listener(): PodListener {
    const { status, log } = this.parts;
    return {
      changed: this.#sync.trigger,
      trouble(source, message) {
        const text = message === undefined ? undefined : `${source}: ${message}`;
        const isNew = status.trouble(source, text, "api");
        if (text !== undefined && isNew) log.warn(`${text}; the last known rules stay`);
        if (text === undefined) log.info(`${source}: the API server answers again`);
      },
    };
  }

  #schedule(name: string, run: () => Promise<boolean>, every: Intervals): Schedule {
    const { log } = this.parts;
    return createSchedule(run, every, {
      failed: (error) => log.debug({ err: error }, `a run of ${name} failed and is tried again`),
    });
  }
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
