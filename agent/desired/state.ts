import type { Protocol, WhenNoTarget } from "../config/config.ts";

export type Family = "ipv4" | "ipv6";

/** The pod endpoint behind a magic IP's port. */
export interface Target {
  namespace: string;
  name: string;
  uid: string;
  ip: string;
  /** undefined: the port that was dialed, as with ranges and whole IPs. */
  port: number | undefined;
}

/** What clients dial. */
export interface Frontend {
  /** The magic IP, in canonical text. */
  ipAddress: string;
  /** undefined: every protocol and port of the magic IP, a whole IP. */
  protocol: Protocol | undefined;
  /** First and last port, the same for a single one; 0 and 65535 for a whole IP. */
  port: number;
  endPort: number;
}

/** Magic IP, protocol and port, and the targets they lead to. */
export interface Binding extends Frontend {
  /** None when no pod of the node can serve it; several only with `loadBalance`. */
  targets: Target[];
  loadBalance: boolean;
  whenNoTarget: WhenNoTarget;
  /** IPs of the pods of its address that may go on carrying the connections they have. */
  live: string[];
}

/** A pod that may go on carrying the flows it has through the magic IP. */
export interface LivePair {
  ipAddress: string;
  podIp: string;
}

/** A binding of another installation on this node. */
export interface Claim extends Frontend {
  instance: string;
  /** What the agent that keeps it changes every minute; undefined where that is not known. */
  lease?: string | undefined;
}

/** A reason why a binding is missing or doubtful. */
export interface Problem {
  /**
   * `NO_TARGET`: no pod of this node can serve it. `CONFLICT`: another installation of this node has it. `UNKNOWN_PODS`: its
   * pods were not listed yet, and it leads where the rules of the agent before led.
   */
  code: "NO_TARGET" | "CONFLICT" | "UNKNOWN_PODS";
  /** The name of the binding. */
  binding: string;
  message: string;
}

/**
 * Whose source address becomes the node's: a target's that dials itself; also a bridged pod's whose target is on a bridge
 * too; or everybody's.
 */
export type Masquerade = "hairpin" | "bridged" | "always";

/** All that should hold on this node. */
export interface DesiredState {
  instance: string;
  /** Whether the node's own processes are clients. */
  hostClients: boolean;
  /** Interfaces that lead outside; undefined: packets from outside are let in. */
  uplinks: string[] | undefined;
  /** The same by their index, where it is known. */
  uplinkIndexes?: number[];
  /** Whether conntrack takes up a connection from its middle; undefined: as true. */
  tcpLoose?: boolean;
  masquerade: Record<Family, Masquerade>;
  bindings: Binding[];
  live: LivePair[];
  /** What other installations have on the same magic IPs, which is theirs to decide about; undefined: nothing. */
  neighbours?: Frontend[];
  problems: Problem[];
}

/** Where the rules of the agent before lead: all that is known of an address whose pods cannot be listed. */
export interface HeldRules {
  /** By `bindingName`. */
  targets: Map<string, { ip: string; port: number | undefined }[]>;
  live: LivePair[];
}

/** `169.254.210.210:8126/tcp`, `[fd00:210::1]:8000-8010/udp` or, of a whole IP, `169.254.210.210`. */
export function bindingName({ ipAddress, protocol, port, endPort }: Frontend): string {
  if (protocol === undefined) return ipAddress;
  const host = familyOf(ipAddress) === "ipv6" ? `[${ipAddress}]` : ipAddress;
  return `${host}:${endPort === port ? port : `${port}-${endPort}`}/${protocol}`;
}

/** Whether nothing of the installation and the node differs that shapes the rules, whatever the bindings are. */
export function sameSettings(a: DesiredState, b: DesiredState): boolean {
  const settings = (state: DesiredState) =>
    JSON.stringify({ ...state, bindings: undefined, live: undefined, problems: undefined });
  return settings(a) === settings(b);
}

/** A live pair as one text, to compare and to look up. */
export function pairName({ ipAddress, podIp }: LivePair): string {
  return `${ipAddress} ${podIp}`;
}

export function familyOf(ipAddress: string): Family {
  return ipAddress.includes(":") ? "ipv6" : "ipv4";
}

/** Whether a packet can be meant for both. */
export function overlap(a: Frontend, b: Frontend): boolean {
  if (a.ipAddress !== b.ipAddress) return false;
  if (a.protocol === undefined || b.protocol === undefined) return true;
  return a.protocol === b.protocol && a.port <= b.endPort && b.port <= a.endPort;
}

/** What a pass from pods to kernel came to. */
export interface Sync {
  /** What is in the kernel now. */
  state: DesiredState;
  /** `changed`: the desired state; `repaired`: somebody else's hands were at the rules; `same`: nothing was done. */
  outcome: "changed" | "repaired" | "same";
}
