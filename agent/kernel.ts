import type { Claim, DesiredState, Frontend, HeldRules } from "./desired/state.ts";

export interface Count {
  packets: number;
  bytes: number;
}

/** What clients sent to a binding since its rules are there, what of it was refused, and what came from outside besides. */
export interface BindingCount {
  /** As `bindingName` says it. */
  binding: string;
  traffic: Count;
  rejected: Count;
  outside: Count;
}

/** One way to put a desired state into the kernel. It remembers what it wrote, so that a change costs what changed. */
export interface Backend {
  /** For the log and the status: `nftables`, `iptables-nft` or `iptables-legacy`. */
  readonly name: string;
  /** What the last write could not do while the rest of it is done, in sentences; the next write makes up for it. */
  readonly shortfall?: string | undefined;
  /** What of the last state this backend cannot do at all, although the addresses work. */
  readonly warning?: string | undefined;
  /** Brings the kernel to this state. After a failure the next write is a whole one. @throws {CommandError} */
  write(state: DesiredState): Promise<void>;
  /**
   * Whether the kernel still holds what was written last; if not, the next write is a whole one. It may be asked while a
   * write is under way. `suspect`: somebody was seen at the rules, so that what is seldom looked at is due as well.
   * @throws {CommandError}
   */
  holds(suspect?: boolean): Promise<boolean>;
  /** What other installations on this node have claimed. @throws {CommandError} */
  claims(instance: string): Promise<Claim[]>;
  /** Which installations have rules at this moment; absent where it cannot be told one from another. @throws {CommandError} */
  presence?(instance: string): Promise<Presence>;
  /** @throws {CommandError} */
  counts(): Promise<BindingCount[]>;
  /** When the installation's rules were last written, in seconds since 1970; undefined when that is not known. @throws {CommandError} */
  writeTime(instance: string): Promise<number | undefined>;
  /** A sign that an agent keeps the installation's rules, for others that want what they are for; absent where there is no place for it. @throws {CommandError} */
  refresh?(instance: string): Promise<void>;
  /** The installations that have rules on this node. @throws {CommandError} */
  instances(): Promise<string[]>;
  /** What an installation's rules are for, whoever wrote them. @throws {CommandError} */
  frontends(instance: string): Promise<Frontend[]>;
  /** Where an installation's rules lead, whoever wrote them. @throws {CommandError} */
  held(instance: string): Promise<HeldRules>;
  /** Takes an installation's rules away; returns what they were for, undefined when there were none. @throws {CommandError} */
  remove(instance: string): Promise<Frontend[] | undefined>;
}

/** The installations that have rules at one moment. */
export interface Presence {
  /** Another one each time that this installation's rules were gone in between, as after a flush; undefined: there are none. */
  own: string | undefined;
  instances: Set<string>;
}

/**
 * Datagrams, echo requests and connection attempts that no pod answered move only when they are ended. Connections to a
 * pod that is gone are refused by the rules in any case, and there can be hundreds of thousands to look at.
 */
export const flowKinds = ["datagrams", "connections"] as const;
export type FlowKind = (typeof flowKinds)[number];

/** What a pass over the flows did. */
export interface Ended {
  /** How many flows of a protocol. */
  ended: Record<string, number>;
  milliseconds: number;
  /** It was stopped before its end. */
  stopped: boolean;
}

/** The flows of the node's kernel. */
export interface Flows {
  /** Ends the flows of a kind that the flow table does not let stay; one pass at a time. @throws {CommandError} */
  pass(kind: FlowKind, table: string[]): Promise<Ended>;
  /** The pass under way ends before its time, within half a second in any case. */
  stop(): void;
}
