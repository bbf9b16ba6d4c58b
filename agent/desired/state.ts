import type { Protocol, WhenNoTarget } from "../config/config.ts";

export type Family = "ipv4" | "ipv6";

/** The pod endpoint behind a magic IP's port. */
export interface Target {
  namespace: string;
  name: string;
  uid: string;
  ip: string;
  /** undefined: the port that the client dialed, as with ranges and whole IPs. */
  port: number | undefined;
}

/** A magic IP, protocol and ports that clients dial. */
export interface Frontend {
  /** The magic IP, in canonical text. */
  ipAddress: string;
  /** undefined: every protocol and port of the magic IP, a whole IP. */
  protocol: Protocol | undefined;
  /** First and last port, equal for a single port; 0 and 65535 for a whole IP. */
  port: number;
  endPort: number;
}

/** A frontend and the targets that it leads to. */
export interface Binding extends Frontend {
  /** None when no pod of the node can serve it; several only with `loadBalance`. */
  targets: Target[];
  loadBalance: boolean;
  whenNoTarget: WhenNoTarget;
  /** IPs of the pods of its address that may keep their existing connections. */
  live: string[];
}

/** A pod that may keep its existing flows through the magic IP. */
export interface LivePair {
  ipAddress: string;
  podIp: string;
}

/** A binding of another installation on this node. */
export interface Claim extends Frontend {
  instance: string;
  /** A value that the claim's agent changes every minute; undefined where it is not known. */
  lease?: string | undefined;
}

/** A reason why a binding is missing or doubtful. */
export interface Problem {
  /**
   * `NO_TARGET`: no pod of this node can serve it. `CONFLICT`: another installation of this node has it.
   * `UNKNOWN_PODS`: its pods were not listed yet, so it leads where the rules of the previous agent led.
   */
  code: "NO_TARGET" | "CONFLICT" | "UNKNOWN_PODS";
  /** The name of the binding. */
  binding: string;
  message: string;
}

/**
 * Which clients are masqueraded as the node: `hairpin`: a target that dials itself; `bridged`: also a bridged pod whose
 * target is bridged, too; `always`: every client.
 */
export type Masquerade = "hairpin" | "bridged" | "always";

/** The complete desired state of the node's rules. */
export interface DesiredState {
  instance: string;
  /** Whether the node's own processes are clients. */
  hostClients: boolean;
  /** Interfaces that lead outside; undefined: packets from outside are accepted. */
  uplinks: string[] | undefined;
  /** The same by index, where the indexes are known. */
  uplinkIndexes?: number[];
  /** Whether conntrack picks up established connections; undefined: true. */
  tcpLoose?: boolean;
  masquerade: Record<Family, Masquerade>;
  bindings: Binding[];
  live: LivePair[];
  /** Frontends of other installations on the same magic IPs, which our rules leave to them; undefined: none. */
  neighbours?: Frontend[];
  problems: Problem[];
}

/** Where the rules of the previous agent lead; used for an address whose pods cannot be listed. */
export interface HeldRules {
  /** Targets by `bindingName`. */
  targets: Map<string, { ip: string; port: number | undefined }[]>;
  live: LivePair[];
}

/** `169.254.210.210:8126/tcp`, `[fd00:210::1]:8000-8010/udp` or, of a whole IP, `169.254.210.210`. */
export function bindingName({ ipAddress, protocol, port, endPort }: Frontend): string {
  if (protocol === undefined) return ipAddress;
  const host = familyOf(ipAddress) === "ipv6" ? `[${ipAddress}]` : ipAddress;
  return `${host}:${endPort === port ? port : `${port}-${endPort}`}/${protocol}`;
}

/** Whether two states agree in all that shapes the rules, apart from bindings, live pairs and problems. */
export function sameSettings(a: DesiredState, b: DesiredState): boolean {
  const settings = (state: DesiredState) =>
    JSON.stringify({ ...state, bindings: undefined, live: undefined, problems: undefined });
  return settings(a) === settings(b);
}

/** A live pair as one text, for comparison and lookup. */
export function pairName({ ipAddress, podIp }: LivePair): string {
  return `${ipAddress} ${podIp}`;
}

export function familyOf(ipAddress: string): Family {
  return ipAddress.includes(":") ? "ipv6" : "ipv4";
}

/** Whether a packet can match both. */
export function overlap(a: Frontend, b: Frontend): boolean {
  if (a.ipAddress !== b.ipAddress) return false;
  if (a.protocol === undefined || b.protocol === undefined) return true;
  return a.protocol === b.protocol && a.port <= b.endPort && b.port <= a.endPort;
}

/** The result of a pass from pods to kernel. */
export interface Sync {
  /** The state in the kernel now. */
  state: DesiredState;
  /** `changed`: a new desired state was written; `repaired`: a foreign change was undone; `same`: as before. */
  outcome: "changed" | "repaired" | "same";
}
