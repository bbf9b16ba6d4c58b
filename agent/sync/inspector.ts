import type { Logger } from "pino";
import type { Config } from "../config/config.ts";
import { frontendsOf } from "../desired/desired.ts";
import type { NodeFacts } from "../desired/node.ts";
import type { Claim, DesiredState } from "../desired/state.ts";
import type { Backend } from "../kernel.ts";
import { Rivals } from "./rivals.ts";

/** What the sync needs of the rules. */
export type Kernel = Pick<
  Backend,
  "write" | "holds" | "claims" | "presence" | "shortfall" | "warning" | "remove"
>;

/** What a look at the node found. */
export interface Inspection {
  node: NodeFacts;
  /** What other installations have. */
  claims: Claim[];
  /** Whether the kernel holds what was written last. */
  intact: boolean;
}

/** What the syncs wrote until now. */
export interface Written {
  /** Undefined before the first write that succeeded. */
  state: DesiredState | undefined;
  /** Whether the kernel holds the state or what others made of it: after a write that failed it may hold another. */
  isCertain: boolean;
}

/** What a look works with. */
export interface InspectorParts {
  config: Config;
  kernel: Kernel;
  /** Where these pods of the node are live. */
  nodeFacts(podIps: string[]): Promise<NodeFacts>;
  log: Logger;
  /** Milliseconds; tests bring their own. */
  now?(): number;
}

/** Looks at the node, at other installations' rules and at what others did to ours, beside the syncs. */
export class Inspector {
  /** Of the last look that succeeded. */
  inspection: Inspection | undefined;
  /** Whether no sync has used the inspection yet. */
  isNew = false;
  /** Whether others changed the rules since the last sync that succeeded. */
  isDisturbed = false;
  /** Why the last look failed: as long as nobody can tell what the kernel holds, it cannot be relied on. */
  blindness: string | undefined;
  #isSuspect = false;
  readonly #rivals = new Rivals();

  constructor(readonly parts: InspectorParts) {}

  /** Somebody was seen at the rules: the next look looks at all of them. */
  suspect(): void {
    this.#isSuspect = true;
  }

  /** A sync has succeeded with this inspection. `wrote`: the kernel holds what it wrote. */
  synced(wrote: boolean): void {
    this.isDisturbed = false;
    if (wrote && this.inspection !== undefined) this.inspection.intact = true;
  }

  /** @throws {CommandError} */
  async look({ state, isCertain }: Written, podIps: string[]): Promise<Inspection> {
    const { kernel, config, nodeFacts } = this.parts;
    const isSuspect = this.#isSuspect;
    this.#isSuspect = false;
    const now = this.parts.now?.() ?? performance.now();
    const [node, seen] = await Promise.all([nodeFacts(podIps), kernel.claims(config.instance)]);
    const intact = state === undefined || (await kernel.holds(isSuspect));
    // What a write that failed left there is not known, and may be its own.
    if (!intact && isCertain && kernel.shortfall === undefined) this.isDisturbed = true;
    this.#rivals.look(seen, now, await kernel.presence?.(config.instance));
    await this.#removeAbandoned(now);
    this.inspection = { node, claims: this.#rivals.claims, intact };
    this.isNew = true;
    return this.inspection;
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
}
