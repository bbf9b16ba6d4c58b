import type { Knowledge } from "../desired/desired.ts";
import type { Claim, DesiredState, HeldRules, Sync } from "../desired/state.ts";
import type { Pod, Sight } from "../kubernetes/pod.ts";
import type { PodSource } from "../kubernetes/pods.ts";
import { type Inspection, Inspector, type InspectorParts, type Written } from "./inspector.ts";
import { reconcile } from "./reconcile.ts";
import { type ReportParts, SyncReport } from "./report.ts";

/** Everything that a sync works with and tells. */
export interface SyncParts extends InspectorParts, ReportParts {
  /** Calls `write` in a moment that suits what else works with the rules. */
  around?(state: DesiredState, write: () => Promise<void>): Promise<void>;
  /** Where rules of this installation lead that are there already; absent: there are none. @throws {CommandError} */
  held?(): Promise<HeldRules>;
}

/** Without `sight` every address sees every pod. */
export type Source = Pick<PodSource, "pods"> & Partial<Pick<PodSource, "sight">>;

/** Brings the kernel to what the pods ask for, and remembers what it wrote. */
export class Syncer {
  /** What is in the kernel since the last sync that succeeded. */
  state: DesiredState | undefined;
  /** What is being written, or was when it failed: nobody knows then which of the two the kernel holds. */
  #pending: DesiredState | undefined;
  /** What addresses go on with whose pods are unknown; read once, before the first write. */
  #held: HeldRules | undefined;
  readonly #inspector: Inspector;
  readonly #report: SyncReport;

  constructor(readonly parts: SyncParts) {
    this.#inspector = new Inspector(parts);
    this.#report = new SyncReport(parts);
  }

  /** What the kernel may hold now; flows are held against it. */
  states(): DesiredState[] {
    return [this.state, this.#pending].filter((state) => state !== undefined);
  }

  /** What other installations on the node had when it was last looked at. */
  get claims(): Claim[] {
    return this.#inspector.inspection?.claims ?? [];
  }

  /** The IPs of the pods that are live, each once. */
  podIps(): string[] {
    return [...new Set(this.state?.live.map(({ podIp }) => podIp))];
  }

  /** Somebody was seen at the rules: the next inspection looks at all of them. */
  suspect(): void {
    this.#inspector.suspect();
  }

  /** Whether the kernel holds what it should. `changed` is called when it was written to. */
  async run(source: Source, changed: () => void): Promise<boolean> {
    const first = source.pods();
    if (first === undefined) return true;
    try {
      const inspection = this.#inspector.inspection ?? (await this.#look(first.flatMap(({ ips }) => ips)));
      const knowledge = source.sight && (await this.#knowledge(source.sight));
      if (knowledge === "nothing") return true;
      // Together with what the watches see of them, after all that takes time.
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

  /** Looks at the node beside the syncs, which it must not hold up. Whether that succeeded; the next sync acts on it. */
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
    const inspection = await this.#inspector.look(this.#written, podIps);
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
    // The last inspection may be younger than the one that this sync waited for.
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
    // To try again what could not be written is no repair of what others did.
    if (shortfall !== undefined && sync.outcome === "repaired")
      sync.outcome = kernel.shortfall === undefined ? "changed" : "same";
    // A repair may take several attempts, of which the later ones write what is no longer certain.
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

  /** `nothing`: no selector was listed, so that there is nothing to say about the rules that are there. */
  async #knowledge(sight: Sight): Promise<Knowledge | undefined | "nothing"> {
    const { addresses } = this.parts.config;
    const isBlind = !addresses.every(sight.knows);
    if (isBlind && this.#held === undefined) this.#held = await this.parts.held?.();
    const held = this.#held ?? { targets: new Map(), live: [] };
    const knowsNone = isBlind && !addresses.some(sight.knows);
    return knowsNone && this.state === undefined && held.targets.size > 0 ? "nothing" : { sight, held };
  }
}
