import type { Logger } from "pino";
import type { Config } from "../config/config.ts";
import { frontendsOf } from "../desired/desired.ts";
import type { NodeFacts } from "../desired/node.ts";
import type { Claim, DesiredState } from "../desired/state.ts";
import type { Backend } from "../kernel.ts";
import { Rivals } from "./rivals.ts";

/** The functions of a backend that a sync uses. */
export type Kernel = Pick<
  Backend,
  "write" | "holds" | "claims" | "presence" | "shortfall" | "warning" | "remove"
>;

/** The result of a look at the node. */
export interface Inspection {
  node: NodeFacts;
  /** The bindings of other installations. */
  claims: Claim[];
  /** Whether the kernel still holds the state that was written last. */
  intact: boolean;
}

/** What the syncs have written so far. */
export interface Written {
  /** The state of the last successful sync; undefined before the first. */
  state: DesiredState | undefined;
  /** Whether the kernel holds `state`, apart from foreign changes; false after a failed write: it may hold another. */
  isCertain: boolean;
}

/** What the inspector works with. */
export interface InspectorParts {
  config: Config;
  kernel: Kernel;
  /** Reads the facts of a node on which these pods are live. */
  nodeFacts(podIps: string[]): Promise<NodeFacts>;
  log: Logger;
  /** Milliseconds; tests bring their own. */
  now?(): number;
}

/** Looks, independently of the syncs, at the node, at other installations' rules and for foreign changes of ours. */
export class Inspector {
  /** The result of the last look that succeeded. */
  inspection: Inspection | undefined;
  /** Whether no sync has used the inspection yet. */
  isNew = false;
  /** Whether a foreign change happened since the last sync that succeeded. */
  isDisturbed = false;
  /** Why the last look failed: the node is not ready while the agent cannot read what the kernel holds. */
  blindness: string | undefined;
  #isSuspect = false;
  readonly #rivals = new Rivals();

  constructor(readonly parts: InspectorParts) {}

  /** The monitor saw a foreign change: the next look checks all rules. */
  suspect(): void {
    this.#isSuspect = true;
  }

  /** A sync has succeeded with this inspection. `wrote`: it wrote, so the kernel holds its state. */
  synced(wrote: boolean): void {
    this.isDisturbed = false;
    if (wrote && this.inspection !== undefined) this.inspection.intact = true;
  }

  /** `written` is asked when the kernel has answered: syncs run beside a look, and may fail meanwhile. @throws {CommandError} */
  async look(written: () => Written, podIps: string[]): Promise<Inspection> {
    const { kernel, config, nodeFacts } = this.parts;
    const isSuspect = this.#isSuspect;
    this.#isSuspect = false;
    const now = this.parts.now?.() ?? performance.now();
    const [node, seen] = await Promise.all([nodeFacts(podIps), kernel.claims(config.instance)]);
    const intact = written().state === undefined || (await kernel.holds(isSuspect));
    // After a failed write the difference may be the agent's own, so it does not count as a foreign change.
    if (!intact && written().isCertain && kernel.shortfall === undefined) this.isDisturbed = true;
    this.#rivals.look(seen, now, await kernel.presence?.(config.instance));
    await this.#removeAbandoned(now);
    this.inspection = { node, claims: this.#rivals.claims, intact };
    this.isNew = true;
    return this.inspection;
  }

  /** Removes rules that no agent keeps, such as those of a renamed installation: no agent would ever remove them. */
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
}
