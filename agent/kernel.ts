import type { Claim, DesiredState, Frontend, HeldRules } from "./desired/state.ts";

export interface Count {
  packets: number;
  bytes: number;
}

/** Counters since a binding's rules exist: sent by clients, the unserved part of that, and what came from outside. */
export interface BindingCount {
  /** The `bindingName`. */
  binding: string;
  traffic: Count;
  rejected: Count;
  outside: Count;
}

/** One way to write a desired state to the kernel. It remembers what it wrote, so that it writes only differences. */
export interface Backend {
  /** For the log and the status: `nftables`, `iptables-nft` or `iptables-legacy`. */
  readonly name: string;
  /** The parts of the last write that failed while the rest succeeded, in sentences; the next write retries them. */
  readonly shortfall?: string | undefined;
  /** The parts of the last state that this backend does not support, although the addresses work. */
  readonly warning?: string | undefined;
  /** Writes this state to the kernel. After a failure the next write is a complete one. @throws {CommandError} */
  write(state: DesiredState): Promise<void>;
  /**
   * Whether the kernel still holds what was written last; if not, the next write is a complete one. It may be called
   * during a write. `suspect`: the monitor saw a foreign change, so the rarely checked parts are checked, too.
   * @throws {CommandError}
   */
  holds(suspect?: boolean): Promise<boolean>;
  /** The bindings of other installations on this node. @throws {CommandError} */
  claims(instance: string): Promise<Claim[]>;
  /** Which installations have rules now; absent if the backend cannot tell old from new ones. @throws {CommandError} */
  presence?(instance: string): Promise<Presence>;
  /** @throws {CommandError} */
  counts(): Promise<BindingCount[]>;
  /** When the installation's rules were last written: seconds since 1970; undefined: unknown. @throws {CommandError} */
  writeTime(instance: string): Promise<number | undefined>;
  /**
   * Renews the lease: it tells other installations that want the same frontends that an agent keeps these rules. Absent
   * where the backend cannot store a lease. @throws {CommandError}
   */
  refresh?(instance: string): Promise<void>;
  /** The installations that have rules on this node. @throws {CommandError} */
  instances(): Promise<string[]>;
  /** The frontends of an installation's rules, also of those that another agent wrote. @throws {CommandError} */
  frontends(instance: string): Promise<Frontend[]>;
  /** Where an installation's rules lead, also those that another agent wrote. @throws {CommandError} */
  held(instance: string): Promise<HeldRules>;
  /** Removes an installation's rules; returns their frontends, undefined if there were none. @throws {CommandError} */
  remove(instance: string): Promise<Frontend[] | undefined>;
}

/** The installations that have rules at one moment. */
export interface Presence {
  /** Identifies this installation's rules; differs after they were deleted and written again; undefined: no rules. */
  own: string | undefined;
  instances: Set<string>;
}

/**
 * `datagrams`: datagrams, echo requests and unanswered connection attempts; they move to a new target only when their
 * conntrack entries are deleted. `connections`: the rules refuse those to a pod that is gone in any case, and a pass
 * may have to read hundreds of thousands.
 */
export const flowKinds = ["datagrams", "connections"] as const;
export type FlowKind = (typeof flowKinds)[number];

/** The result of a pass over the flows. */
export interface Ended {
  /** The number of ended flows by protocol. */
  ended: Record<string, number>;
  milliseconds: number;
  /** Whether the pass was stopped before its end. */
  stopped: boolean;
}

/** The conntrack entries of the node's kernel. */
export interface Flows {
  /** Ends the flows of a kind that may not stay by the flow table; one pass at a time. @throws {CommandError} */
  pass(kind: FlowKind, table: string[]): Promise<Ended>;
  /** Stops the pass under way early, within half a second at most. */
  stop(): void;
}
