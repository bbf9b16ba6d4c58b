import type { Logger } from "pino";
import type { Config } from "./config.ts";
import type { DesiredState } from "./desired.ts";
import type { PodSource } from "./pods.ts";
import { type Applied, endStaleFlows, type Kernel, reconcile, type Sync } from "./reconcile.ts";
import type { Status } from "./status.ts";

/** Milliseconds after which a sync also looks at what others did to the table. */
const inspectionInterval = 4_500;

/** Everything that a pass works with and tells. */
export interface PassParts {
  config: Config;
  nodeName: string;
  kernel: Kernel;
  status: Status;
  log: Logger;
}

/** The sync of the rules, with what one has to remember for the next. */
export class SyncPass {
  /** What should hold since the last sync; the flows are held against it. */
  state: DesiredState | undefined;
  #applied: Applied | undefined;
  #inspected = Number.NEGATIVE_INFINITY;
  #problems = "";

  constructor(readonly parts: PassParts) {}

  /** Whether the kernel holds what it should. `changed` is called when it was written to. */
  async run(source: PodSource, changed: () => void): Promise<boolean> {
    const pods = source.pods();
    if (pods === undefined) return true;
    const { config, nodeName, kernel } = this.parts;
    const verify = performance.now() - this.#inspected >= inspectionInterval;
    try {
      const sync = await reconcile({ config, nodeName, pods, last: this.#applied, verify }, kernel);
      this.#applied = sync.applied;
      this.state = sync.state;
      if (verify) this.#inspected = performance.now();
      if (sync.outcome !== "same") changed();
      this.#tell(sync);
      return true;
    } catch (error) {
      this.#tellFailure(error);
      return false;
    }
  }

  #tell(sync: Sync): void {
    const { status, log } = this.parts;
    if (sync.outcome === "repaired")
      log.warn("the table was changed or removed by somebody else and is restored");
    for (const line of status.synced(sync)) log.info(line);
    const problems = sync.state.problems.map(({ message }) => message).join("; ");
    if (problems !== this.#problems && problems !== "") log.debug(problems);
    this.#problems = problems;
  }

  #tellFailure(error: unknown): void {
    const { status, log } = this.parts;
    const message = `the rules could not be brought up to date, the last ones stay: ${sentence(error)}`;
    if (status.failed(message)) log.error({ err: error }, message);
  }
}

/** The end of flows that lead elsewhere than their binding. */
export class FlowPass {
  constructor(readonly parts: PassParts) {}

  /**
   * Whether conntrack did its work. The live set already cuts what must not go on; without conntrack a UDP flow only
   * takes longer to move.
   */
  async run(state: DesiredState | undefined): Promise<boolean> {
    const { kernel, status, log } = this.parts;
    if (state === undefined) return true;
    try {
      const ended = await endStaleFlows(state, kernel);
      if (ended > 0) log.debug(`${ended} kinds of stale flows are ended`);
      status.trouble("conntrack", undefined);
      return true;
    } catch (error) {
      const message = `stale flows could not be ended: ${sentence(error)}`;
      if (status.trouble("conntrack", message)) log.warn(message);
      return false;
    }
  }
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
