import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Claim, DesiredState, Frontend } from "../desired/state.ts";
import { changedIps, flowTable } from "../desired/flows.ts";
import type { Intervals } from "../schedule.ts";
import type { Status } from "../status/status.ts";
import { type Ended, type FlowKind, flowKinds, type Flows } from "../kernel.ts";

const nothing: Ended = { ended: {}, milliseconds: 0, stopped: false };

/** What flows are compared with. */
export interface Held {
  state: DesiredState | undefined;
  claims: Claim[];
  /** The states of which the kernel may hold one now. */
  states(): DesiredState[];
}

/** Milliseconds between two passes over all magic IPs, even if nothing changed. */
const allEvery = 60_000;

/**
 * Milliseconds after the agent's start during which connections to an address that left the configuration may go on.
 * Two installations that swap an IP start one after the other; after this time the second one has claimed its IP and
 * judges those connections by its own bindings.
 */
const grace = 30_000;

/**
 * After `stops` passes over datagrams that a write stopped, the next write waits for a pass, at most `patience`
 * milliseconds. A pass over connections needs no such wait: the rules refuse the connections that it would end.
 */
const starvation = { stops: 3, patience: 500 };

/**
 * Milliseconds after a write at which datagrams to the changed magic IPs are looked at again. A packet that the old
 * rules translated may wait in an NFQUEUE (network policies of kindnet and kube-network-policies), and conntrack does
 * not list its flow until it has left POSTROUTING.
 */
const laggards = [1_000, 5_000];

/** Milliseconds, for passes of both kinds. */
const pace: Intervals = { minimum: 50, maximum: allEvery, retry: 500, longestRetry: 2_000 };

/** Deletes conntrack entries to pods that are no longer targets; TCP and SCTP connections to live pods stay. */
export class FlowPass {
  /** The frontends that the installation's rules had before this agent started. */
  #before: Frontend[];
  readonly #began: number;
  readonly #dirty = { datagrams: new Set<string>(), connections: new Set<string>() };
  /** When the last complete pass over all magic IPs began. */
  readonly #all = { datagrams: -Infinity, connections: -Infinity };
  /** Magic IPs whose datagrams are looked at again, by time in whole seconds, so that many writes share few passes. */
  readonly #again = new Map<number, Set<string> | "all">();
  readonly #faults: Partial<Record<FlowKind, string | undefined>> = {};
  /** The state that was written last; undefined where that write failed. */
  #written: DesiredState | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #running: FlowKind | undefined;
  /** Writes under way; no pass may run during one, because it would judge flows by the old state. */
  #writes = 0;
  #stops = 0;
  /** How long the last pass over connections took. */
  #milliseconds = 0;

  constructor(
    readonly parts: { flows: Flows; before: Frontend[]; status: Status; log: Logger; now?: () => number },
  ) {
    this.#before = parts.before;
    this.#began = this.#now();
  }

  /** Passes start at once after a write; after a failed pass the next change of a target must not wait long. */
  get datagrams(): Intervals {
    const untilNext = () => Math.min(allEvery, ...[...this.#again.keys()].map((at) => at - this.#now()));
    return {
      ...pace,
      get maximum() {
        return untilNext();
      },
    };
  }

  /** The same, but passes take at most a tenth of the time: a pass over 200,000 connections takes half a second. */
  get connections(): Intervals {
    const pause = () => Math.max(pace.minimum, 10 * this.#milliseconds);
    return {
      ...pace,
      get minimum() {
        return pause();
      },
    };
  }

  /**
   * Writes a state to the kernel while no pass runs: a pass with the old state must not delete a flow that began under
   * the new one. The caller triggers the next pass.
   */
  async around<T>(state: DesiredState, write: () => Promise<T>): Promise<T> {
    this.#writes++;
    try {
      await this.#quiet();
      this.#remember(state);
      const written = await write();
      this.#written = state;
      this.#lookAgain();
      return written;
    } finally {
      this.#writes--;
    }
  }

  /** Lets no further pass begin and stops the one under way. */
  end(): void {
    this.#writes++;
    if (this.#running !== undefined) this.parts.flows.stop();
  }

  /**
   * Runs a pass if one is due; false where it failed. The rules' live set already cuts flows that must not go on;
   * without a pass a UDP flow only takes longer to move to the new target.
   */
  run(kind: FlowKind, held: Held): Promise<boolean> {
    const result = this.#last.then(() => this.#run(kind, held));
    this.#last = result;
    return result;
  }

  async #run(kind: FlowKind, held: Held): Promise<boolean> {
    if (kind === "datagrams") this.#takeLaggards();
    if (held.state === undefined || this.#writes > 0) return true;
    const isDue = this.#now() - this.#all[kind] >= allEvery;
    const ipAddresses = isDue ? undefined : new Set(this.#dirty[kind]);
    if (ipAddresses?.size === 0) return true;
    this.#running = kind;
    try {
      await this.#look(kind, held, ipAddresses);
      this.#tell(kind, undefined);
      return true;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#tell(kind, `stale flows could not be ended: ${reason}`);
      return false;
    } finally {
      this.#running = undefined;
    }
  }

  async #look(kind: FlowKind, held: Held, ipAddresses: Set<string> | undefined): Promise<void> {
    const began = this.#now();
    const connections = began - this.#began >= grace;
    // Ports of an earlier configuration that no installation has now: nothing else would end a UDP flow to them.
    const gone = { frontends: this.#before, connections };
    const table = flowTable({ states: held.states(), gone, claims: held.claims }, ipAddresses);
    const { ended, milliseconds, stopped } =
      table.length === 0 ? nothing : await this.parts.flows.pass(kind, table);
    const numbers = Object.entries(ended).filter(([, count]) => count > 0);
    if (numbers.length > 0)
      this.parts.log.debug(`stale flows are ended: ${numbers.map(([name, n]) => `${n} ${name}`).join(", ")}`);
    if (kind === "connections") this.#milliseconds = milliseconds;
    if (stopped) return;
    if (kind === "datagrams") this.#stops = 0;
    for (const ip of ipAddresses ?? this.#dirty[kind]) this.#dirty[kind].delete(ip);
    if (ipAddresses === undefined) this.#all[kind] = began;
    if (kind === "connections" && ipAddresses === undefined && connections) this.#before = [];
  }

  /** Stops the pass under way; first waits for it where too many passes were stopped before. */
  async #quiet(): Promise<void> {
    if (this.#running === "datagrams" && this.#stops++ >= starvation.stops)
      await Promise.race([this.#last, delay(starvation.patience, undefined, { ref: false })]);
    if (this.#running === undefined) return;
    this.parts.flows.stop();
    await this.#last;
  }

  #lookAgain(): void {
    for (const after of laggards) {
      const at = Math.ceil((this.#now() + after) / 1_000) * 1_000;
      const ips = this.#again.get(at) ?? new Set();
      // At the start and after a repair it is unknown under which rules a flow began.
      const isAll = ips === "all" || this.#all.datagrams === -Infinity;
      this.#again.set(at, isAll ? "all" : ips.union(this.#dirty.datagrams));
    }
  }

  /** Marks the magic IPs that the write changes for the next pass; all of them after a failed write or for a repair. */
  #remember(state: DesiredState): void {
    const changed = this.#written === undefined ? new Set<string>() : changedIps(this.#written, state);
    this.#written = undefined;
    for (const kind of flowKinds) {
      for (const ip of changed) this.#dirty[kind].add(ip);
      if (changed.size === 0) this.#all[kind] = -Infinity;
    }
  }

  #takeLaggards(): void {
    for (const [at, ips] of this.#again) {
      if (at > this.#now()) continue;
      this.#again.delete(at);
      if (ips === "all") this.#all.datagrams = -Infinity;
      else for (const ip of ips) this.#dirty.datagrams.add(ip);
    }
  }

  #tell(kind: FlowKind, fault: string | undefined): void {
    this.#faults[kind] = fault;
    const { status, log } = this.parts;
    const message = this.#faults.datagrams ?? this.#faults.connections;
    if (status.trouble("conntrack", message) && message !== undefined) log.warn(message);
  }

  #now(): number {
    return (this.parts.now ?? (() => performance.now()))();
  }
}
