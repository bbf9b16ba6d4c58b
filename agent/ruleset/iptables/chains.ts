import type { Binding, DesiredState, Family } from "../../desired/state.ts";
import { ownerMark, type Role } from "./listing.ts";
import { type ByIp, notOriginallyTo, originallyTo, type Rule } from "./matches.ts";

export type Table = "mangle" | "filter" | "nat";

/** How many leading bits a pod's address shares with its bridge's pods; undefined when it has no neighbours. */
export type SegmentLength = (podIp: string) => number | undefined;

/** The node's settings that the rules depend on, beside the state. */
export interface Surroundings {
  segmentLength: SegmentLength;
  /**
   * Whether conntrack takes a TCP connection that it does not know for a new one (nf_conntrack_tcp_loose, the default).
   * If not, its packets are INVALID, and look the same as segments outside of a known connection's window.
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
  // FNV-1a (draft-eastlake-fnv): spreads well, and needs nothing outside this file.
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(instance)) hash = Math.imul(hash ^ byte, 0x01000193);
  return `MAGICIP-${(hash >>> 0).toString(16).padStart(8, "0")}`;
}

/** Instances are validated where they are configured; any other text becomes one harmless word here. */
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

/** A chain that leads to one chain for each magic IP: a packet passes the rules of one IP, not of all. */
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
 * A chain's first rule names the installation, because the chain's name has only a hash of it. `text` adds the match
 * that the jump to the chain does not make.
 */
export function owner({ instance }: DesiredState, text = ""): Rule {
  return { text: `-m comment --comment "${ownerMark}${ownerName(instance)}"${text}` };
}
