import type { Binding, DesiredState, Family } from "../../desired/state.ts";
import { ownerMark, type Role } from "./listing.ts";
import { type ByIp, notOriginallyTo, originallyTo, type Rule } from "./matches.ts";

export type Table = "mangle" | "filter" | "nat";

/** How many leading bits a pod's address shares with the pods of its bridge; undefined when it is alone. */
export type SegmentLength = (podIp: string) => number | undefined;

/** What of the node the rules depend on, beside the state. */
export interface Surroundings {
  segmentLength: SegmentLength;
  /**
   * Whether conntrack takes a TCP connection that it does not know for a new one (nf_conntrack_tcp_loose, the default). If
   * not it calls its packets INVALID, and nothing tells them from segments outside of a known connection's window.
   */
  tcpLoose: boolean;
}

export interface Chain {
  table: Table;
  role: Role;
  name: string;
  rules: Rule[];
}

/** A rule in one of iptables' own chains that leads to a chain of ours. */
export interface Jump {
  table: Table;
  from: string;
  text: string;
}

export interface Layout {
  chains: Chain[];
  jumps: Jump[];
}

/** The start of the names of an installation's chains. The kernel allows 28 characters a name, instances have up to 127. */
export function chainPrefix(instance: string): string {
  // FNV-1a (draft-eastlake-fnv): spreads well, and asks nothing outside this file.
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(instance)) hash = Math.imul(hash ^ byte, 0x01000193);
  return `MAGICIP-${(hash >>> 0).toString(16).padStart(8, "0")}`;
}

/** Instances are validated where they are configured; whatever comes, it is one harmless word here. */
export function ownerName(instance: string): string {
  return instance.replace(/[^A-Za-z0-9.-]/g, "_").slice(0, 127);
}

/** One family's part of the desired state, by magic IP. */
export interface Part extends ByIp {
  state: DesiredState;
  family: Family;
  prefix: string;
  around: Surroundings;
}

/** A chain that tells the magic IPs apart, and one for each of them: a packet passes the rules of one IP, not of all. */
export function perIp(
  { state, prefix, byIp }: Part,
  table: Table,
  role: Role,
  match: (ipAddress: string) => string,
  rulesOf: (bindings: Binding[], ipAddress: string) => Rule[],
): Chain[] {
  const name = `${prefix}-${role}`;
  const entries = [...byIp].map(([ipAddress, bindings], index) => ({
    ipAddress,
    chain: { table, role, name: `${name}-${index.toString(36)}`, rules: rulesOf(bindings, ipAddress) },
  }));
  const jumps = entries.map(({ ipAddress, chain }) => ({ text: `${match(ipAddress)}-j ${chain.name}` }));
  const first = owner(state, match === originallyTo ? notOriginallyTo(byIp) : "");
  return [{ table, role, name, rules: [first, ...jumps] }, ...entries.map(({ chain }) => chain)];
}

/**
 * A chain's first rule says whose it is, for the name holds only a hash of the instance; and it does what the rule that
 * leads to the chain does not.
 */
export function owner({ instance }: DesiredState, text = ""): Rule {
  return { text: `-m comment --comment "${ownerMark}${ownerName(instance)}"${text}` };
}
