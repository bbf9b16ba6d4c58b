import type { Knowledge } from "../desired/desired.ts";
import type { Claim, DesiredState, HeldRules, Sync } from "../desired/state.ts";
import type { Pod, Sight } from "../kubernetes/pod.ts";
import type { PodSource } from "../kubernetes/pods.ts";
import { type Inspection, Inspector, type InspectorParts, type Written } from "./inspector.ts";
import { reconcile } from "./reconcile.ts";
import { type ReportParts, SyncReport } from "./report.ts";

/** What syncs work with and report to. */
export interface SyncParts extends InspectorParts, ReportParts {
  /** Calls `write` while no flow pass runs. */
  around?(state: DesiredState, write: () => Promise<void>): Promise<void>;
  /** Reads where existing rules of this installation lead; absent: there are none. @throws {CommandError} */
  held?(): Promise<HeldRules>;
}

/** Without `sight` every address sees every pod. */
export type Source = Pick<PodSource, "pods"> & Partial<Pick<PodSource, "sight">>;

/** Writes the rules that the pods require to the kernel, and remembers what it wrote. */
export class Syncer {
  /** The state in the kernel after the last sync that succeeded. */
  state: DesiredState | undefined;
  /** The state of the write under way or of a failed write: the kernel then holds either this or `state`. */
  #pending: DesiredState | undefined;
  /** The old rules that addresses with unknown pods keep; read once, before the first write. */
  #held: HeldRules | undefined;
  readonly #inspector: Inspector;
  readonly #report: SyncReport;

  constructor(readonly parts: SyncParts) {
    this.#inspector = new Inspector(parts);
    this.#report = new SyncReport(parts);
  }

  /** The states of which the kernel may hold one now; flows are compared with them. */
  states(): DesiredState[] {
    return [this.state, this.#pending].filter((state) => state !== undefined);
  }

  /** The bindings of other installations at the last look at the node. */
  get claims(): Claim[] {
    return this.#inspector.inspection?.claims ?? [];
  }

  /** The IPs of the pods that are live, each once. */
  podIps(): string[] {
    return [...new Set(this.state?.live.map(({ podIp }) => podIp))];
  }

  /** The monitor saw a foreign change: the next inspection checks all rules. */
  suspect(): void {
    this.#inspector.suspect();
  }

  /** Runs a sync; false where it failed. Calls `changed` when it wrote to the kernel. */
  async run(source: Source, changed: () => void): Promise<boolean> {
    const first = source.pods();
    if (first === undefined) return true;
    try {
      const inspection = this.#inspector.inspection ?? (await this.#look(first.flatMap(({ ips }) => ips)));
      const knowledge = source.sight && (await this.#knowledge(source.sight));
      if (knowledge === "nothing") return true;
      // Read again after the waits above, so that the pods match what the watches see now.
      const pods = source.pods() ?? [];
      const started = performance.now();
      const sync = await this.#sync(pods, knowledge, inspection);
      if (sync.outcome !== "same") changed();
      const seconds = (performance.now() - started) / 1000;
      this.#report.synced(sync, seconds, this.#inspector.blindness);
      return true;
    } catch (error) {
      this.#report.failed(error);
      return false;
    }
  }

  /** Looks at the node without delaying the syncs; the next sync uses the result. False where the look failed. */
  async inspect(): Promise<boolean> {
    if (this.state === undefined) return true;
    try {
      await this.#look(this.podIps());
      this.#inspector.blindness = undefined;
      return true;
    } catch (error) {
      this.#inspector.blindness = this.#report.failed(error);
      return false;
    }
  }

  async #look(podIps: string[]): Promise<Inspection> {
    const before = this.#inspector.inspection?.node;
    const inspection = await this.#inspector.look(() => this.#written, podIps);
    this.#report.looked(before, inspection.node);
    return inspection;
  }

  get #written(): Written {
    return { state: this.state, isCertain: this.#pending === undefined };
  }

  async #sync(pods: Pod[], knowledge: Knowledge | undefined, inspection: Inspection): Promise<Sync> {
    const { config, kernel } = this.parts;
    const inspector = this.#inspector;
    const last = this.#pending === undefined ? this.state : undefined;
    const shortfall = kernel.shortfall;
    // The last inspection may be newer than the one that this sync waited for.
    const pass = {
      config,
      pods,
      last,
      settle: inspector.isNew,
      knowledge,
      ...(inspector.inspection ?? inspection),
    };
    if (shortfall !== undefined) pass.intact = false;
    inspector.isNew = false;
    const sync = await reconcile(pass, { write: (state) => this.#write(state) });
    // Another attempt at what could not be written is no repair of a foreign change.
    if (shortfall !== undefined && sync.outcome === "repaired")
      sync.outcome = kernel.shortfall === undefined ? "changed" : "same";
    // A repair may take several attempts; after a failed one the result is `changed`, although it is a repair.
    else if (sync.outcome === "changed" && inspector.isDisturbed) sync.outcome = "repaired";
    this.state = sync.state;
    this.#pending = undefined;
    inspector.synced(sync.outcome !== "same");
    return sync;
  }

  #write(state: DesiredState): Promise<void> {
    this.#pending = state;
    const write = () => this.parts.kernel.write(state);
    return this.parts.around?.(state, write) ?? write();
  }

  /** `nothing`: no selector was listed yet, so the existing rules stay untouched. */
  async #knowledge(sight: Sight): Promise<Knowledge | undefined | "nothing"> {
    const { addresses } = this.parts.config;
    const isBlind = !addresses.every(sight.knows);
    if (isBlind && this.#held === undefined) this.#held = await this.parts.held?.();
    const held = this.#held ?? { targets: new Map(), live: [] };
    const knowsNone = isBlind && !addresses.some(sight.knows);
    return knowsNone && this.state === undefined && held.targets.size > 0 ? "nothing" : { sight, held };
  }
}
