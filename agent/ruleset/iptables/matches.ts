import { parseIp } from "../../../component/address/ip.ts";
import type { Binding, Family } from "../../desired/state.ts";

/** A rule's matches and target, as iptables-restore takes them, and the binding for which it counts. */
export interface Rule {
  text: string;
  binding?: string;
}

/**
 * Rules that refuse matching packets at once, drop them, or let them pass, and that count for the binding, if given.
 * `tcp-reset` needs the protocol in the rule, so "every protocol" takes two rules.
 */
export function refusing(
  { family, protocol, whenNoTarget }: Refusal,
  match: string,
  binding?: string,
): Rule[] {
  const rule = (text: string): Rule => (binding === undefined ? { text } : { text, binding });
  if (whenNoTarget === "pass") return [{ text: `${match}-j RETURN` }];
  if (whenNoTarget === "drop") return [rule(`${match}-j DROP`)];
  const unreachable = family === "ipv4" ? "icmp-port-unreachable" : "icmp6-port-unreachable";
  const rejection = (protocol: string) => (protocol === "tcp" ? "tcp-reset" : unreachable);
  if (protocol !== undefined) return [rule(`${match}-j REJECT --reject-with ${rejection(protocol)}`)];
  return [
    rule(`-p tcp ${match}-j REJECT --reject-with ${rejection("tcp")}`),
    rule(`${match}-j REJECT --reject-with ${unreachable}`),
  ];
}

export interface Refusal extends Pick<Binding, "protocol" | "whenNoTarget"> {
  family: Family;
}

/** The bindings of one family, by magic IP. */
export interface ByIp {
  byIp: Map<string, Binding[]>;
}

/** Matches the smallest block that holds all magic IPs: all other packets pass one rule only. */
export function toAny({ byIp }: ByIp): string {
  return `-d ${covering([...byIp.keys()])}`;
}

/** The same for source addresses. */
export function fromAny({ byIp }: ByIp): string {
  return `-s ${covering([...byIp.keys()])}`;
}

/** Matches packets from the magic IP in a flow's original direction: no flow begins at a magic IP. */
export const forged = (ipAddress: string, ports = "") =>
  `-s ${ipAddress} ${ports}-m conntrack --ctdir ORIGINAL `;

/** Matches packets that conntrack assigns to no connection, as a segment outside of the window. */
export const invalid = "-m conntrack --ctstate INVALID ";

export const to = (ipAddress: string) => `-d ${ipAddress} `;

/** Matches what a flow's client sends, by the address that it dialed. */
export const originallyTo = (ipAddress: string) => `-m conntrack --ctdir ORIGINAL --ctorigdst ${ipAddress} `;

/** Returns all other packets, so that they pass one rule only. */
export const notOriginallyTo = (byIp: ByIp["byIp"]) =>
  ` -m conntrack ! --ctorigdst ${covering([...byIp.keys()])} -j RETURN`;

export function dialed({ protocol, port, endPort }: Binding): string {
  return protocol === undefined ? "" : `-p ${protocol} --dport ${span(port, endPort)} `;
}

export function cameFrom({ protocol, port, endPort }: Binding): string {
  return protocol === undefined ? "" : `-p ${protocol} --sport ${span(port, endPort)} `;
}

export function originallyDialed({ protocol, port, endPort }: Binding): string {
  return protocol === undefined ? "" : `-p ${protocol} -m conntrack --ctorigdstport ${span(port, endPort)} `;
}

const span = (port: number, endPort: number) => (port === endPort ? `${port}` : `${port}:${endPort}`);

/** The smallest block that holds all of them; the tools clear the bits after the prefix. */
function covering(ipAddresses: string[]): string {
  const ips = ipAddresses.flatMap((text) => parseIp(text) ?? []);
  const [first] = ips;
  const differing = ips.reduce((bits, { value }) => bits | (value ^ (first?.value ?? 0n)), 0n);
  const length =
    (first?.family === "ipv6" ? 128 : 32) - (differing === 0n ? 0 : differing.toString(2).length);
  return withLength(ipAddresses[0] ?? "", length);
}

export const withLength = (ipAddress: string, length: number | undefined) =>
  length === undefined ? ipAddress : `${ipAddress}/${length}`;
