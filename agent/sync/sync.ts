import type { Logger } from "pino";
import type { Config } from "../config/config.ts";
import { frontendsOf, type Knowledge } from "../desired/desired.ts";
import type { Claim, DesiredState, HeldRules, Problem, Sync } from "../desired/state.ts";
import type { NodeFacts } from "../desired/node.ts";
import type { Sight } from "../kubernetes/pod.ts";
import type { PodSource } from "../kubernetes/pods.ts";
import { reconcile } from "./reconcile.ts";
import { Rivals } from "./rivals.ts";
import type { Status } from "../status/status.ts";
import type { Backend } from "../kernel.ts";

/** What the sync needs of the rules. */
export type Kernel = Pick<
  Backend,
  "write" | "holds" | "claims" | "presence" | "shortfall" | "warning" | "remove"
>;

/** What the last look at the node found. */
interface Inspection {
  node: NodeFacts;
  claims: Claim[];
  intact: boolean;
}

/** Everything that a pass works with and tells. */
export interface SyncParts {
  config: Config;
  kernel: Kernel;
  /** Calls `write` in a moment that suits what else works with the rules. */
  around?(state: DesiredState, write: () => Promise<void>): Promise<void>;
  /** Where these pods of the node are live. */
  nodeFacts(podIps: string[]): Promise<NodeFacts>;
  /** Where rules of this installation lead that are there already; absent: there are none. @throws {CommandError} */
  held?(): Promise<HeldRules>;
  /** Called once for each conflict with another installation, when it is found. */
  conflict(problem: Problem): void;
  status: Status;
  log: Logger;
  /** Milliseconds; tests bring their own. */
  now?(): number;
}

/** Without `sight` every address sees every pod. */
export type Source = Pick<PodSource, "pods"> & Partial<Pick<PodSource, "sight">>;

/** The sync of the rules, with what one has to remember for the next. */
export class SyncPass {
  /** What is in the kernel since the last sync that succeeded. */
  state: DesiredState | undefined;
  /** What is being written, or was when it failed: nobody knows then which of the two the kernel holds. */
  #pending: DesiredState | undefined;
  #inspection: Inspection | undefined;
  /** What addresses go on with whose pods are unknown; read once, before the first write. */
  #held: HeldRules | undefined;
  /** Whether others changed the rules since the last sync that succeeded: the next one is a repair, however many attempts it takes. */
  #disturbed = false;
  /** Whether the inspection is news to the sync. */
  #settle = false;
  #suspect = false;
  /** Why the last look at the node failed: as long as nobody can tell what the kernel holds, it cannot be relied on. */
  #blindness: string | undefined;
  readonly #rivals = new Rivals();
  #problems = "";
  /** What was said of the kernel's shortfall and warning. */
  #told = { shortfall: "", warning: "" };
  #conflicts = new Set<string>();

  constructor(readonly parts: SyncParts) {}

  /** What the kernel may hold now; flows are held against it. */
  states(): DesiredState[] {
    return [this.state, this.#pending].filter((state) => state !== undefined);
  }

  /** What other installations on the node had when it was last looked at. */
  get claims(): Claim[] {
    return this.#inspection?.claims ?? [];
  }

  /** Whether the kernel holds what it should. `changed` is called when it was written to. */
  async run(source: Source, changed: () => void): Promise<boolean> {
    const first = source.pods();
    if (first === undefined) return true;
    const { config, kernel } = this.parts;
    try {
      if (this.#inspection === undefined) await this.#inspect(first.flatMap(({ ips }) => ips));
      if (this.#inspection === undefined) return false;
      const knowledge = source.sight && (await this.#knowledge(source.sight));
      if (knowledge === "nothing") return true;
      // Together with what the watches see of them, after all that takes time.
      const pods = source.pods() ?? [];
      const last = this.#pending === undefined ? this.state : undefined;
      const was = kernel.shortfall;
      const pass = { config, pods, last, settle: this.#settle, knowledge, ...this.#inspection };
      if (was !== undefined) pass.intact = false;
      this.#settle = false;
      const started = performance.now();
      const sync = await reconcile(pass, { write: (state) => this.#write(state) });
      // To try again what could not be written is no repair of what others did.
      if (was !== undefined && sync.outcome === "repaired")
        sync.outcome = kernel.shortfall === undefined ? "changed" : "same";
      else if (sync.outcome === "changed" && this.#disturbed) sync.outcome = "repaired";
      const seconds = (performance.now() - started) / 1000;
      this.state = sync.state;
      this.#pending = undefined;
      this.#disturbed = false;
      if (sync.outcome !== "same") {
        this.#inspection.intact = true;
        changed();
      }
      this.#tell(sync, seconds);
      return true;
    } catch (error) {
      this.#tellFailure(error);
      return false;
    }
  }

  /**
   * Looks at what the node is like, what others have on it and what they did to our rules, beside the syncs, which it
   * must not hold up. Whether that could be seen; the next sync acts on it.
   */
  async inspect(): Promise<boolean> {
    if (this.state === undefined) return true;
    try {
      await this.#inspect();
      this.#blindness = undefined;
      return true;
    } catch (error) {
      this.#blindness = this.#tellFailure(error);
      return false;
    }
  }

  /** Somebody was seen at the rules: the next inspection looks at all of them. */
  suspect(): void {
    this.#suspect = true;
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

  #write(state: DesiredState): Promise<void> {
    this.#pending = state;
    const write = () => this.parts.kernel.write(state);
    return this.parts.around?.(state, write) ?? write();
  }

  /** The IPs of the pods that are live, each once. */
  podIps(): string[] {
    return [...new Set(this.state?.live.map(({ podIp }) => podIp))];
  }

  async #inspect(podIps = this.podIps()): Promise<void> {
    const { kernel, config, nodeFacts } = this.parts;
    const suspect = this.#suspect;
    this.#suspect = false;
    const now = this.parts.now?.() ?? performance.now();
    const [node, seen] = await Promise.all([nodeFacts(podIps), kernel.claims(config.instance)]);
    const intact = this.state === undefined || (await kernel.holds(suspect));
    // What a write that failed left there is not known, and may be its own.
    if (!intact && this.#pending === undefined && kernel.shortfall === undefined) this.#disturbed = true;
    this.#rivals.look(seen, now, await kernel.presence?.(config.instance));
    await this.#removeAbandoned(now);
    const { claims } = this.#rivals;
    this.#tellOutside(this.#inspection?.node, node);
    this.#inspection = { node, claims, intact };
    this.#settle = true;
  }

  /** Of an installation that was renamed, for one: nobody would ever give up what it has. */
  async #removeAbandoned(now: number): Promise<void> {
    const { kernel, config, log } = this.parts;
    for (const instance of this.#rivals.abandoned(frontendsOf(config), now)) {
      await kernel.remove(instance);
      this.#rivals.forget(instance);
      log.warn(
        `the rules of the installation ${instance}, which nobody kept for 5 minutes, are removed: this one has their IPs`,
      );
    }
  }

  #tell(sync: Sync, seconds: number): void {
    const { status, log } = this.parts;
    if (sync.outcome === "repaired")
      log.warn("the rules were changed or removed by somebody else and are restored");
    for (const line of status.synced(sync, seconds)) log.info(line);
    const { shortfall = "", warning = "" } = this.parts.kernel;
    if (shortfall !== this.#told.shortfall && shortfall !== "") log.error(shortfall);
    if (warning !== this.#told.warning && warning !== "") log.warn(warning);
    this.#told = { shortfall, warning };
    status.trouble("rules", warning || undefined);
    const failure = this.#blindness ?? (shortfall || undefined);
    if (failure !== undefined) status.fails(failure);
    this.#tellConflicts(sync.state.problems.filter(({ code }) => code === "CONFLICT"));
    const problems = sync.state.problems.map(({ message }) => message).join("; ");
    if (problems !== this.#problems && problems !== "") log.debug(problems);
    this.#problems = problems;
  }

  /** Who is let in changes with the node's routes, which others make: it must not change unseen. */
  #tellOutside(before: NodeFacts | undefined, { uplinks, trouble }: NodeFacts): void {
    const { config, status, log } = this.parts;
    if (status.trouble("routes", trouble) && trouble !== undefined) log.warn(trouble);
    if (!config.outsideGuard || before?.uplinks.join() === uplinks.join()) return;
    const list = uplinks.length === 0 ? "no interface" : uplinks.join(", ");
    const text = `what comes in by ${list} is from outside the node`;
    if (before === undefined) log.info(text);
    else {
      status.uplinksChanged();
      log.warn(`${text}; until now: ${before.uplinks.join(", ") || "no interface"}`);
    }
  }

  #tellConflicts(conflicts: Problem[]): void {
    const news = conflicts.filter(({ message }) => !this.#conflicts.has(message));
    for (const problem of news) this.parts.conflict(problem);
    this.#conflicts = new Set(conflicts.map(({ message }) => message));
  }

  #tellFailure(error: unknown): string {
    const { status, log } = this.parts;
    const message = `the rules could not be brought up to date, the last ones stay: ${sentence(error)}`;
    if (status.failed(message)) log.error({ err: error }, message);
    return message;
  }
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
