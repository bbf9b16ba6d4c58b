import { parseIp } from "../../../component/address/ip.ts";
import type { Binding, Family } from "../../desired/state.ts";

/** Matches and target, as iptables-restore takes them; and the binding that it counts for. */
export interface Rule {
  text: string;
  binding?: string;
}

/**
 * What matches gets an error at once, or nothing, or goes on; counted for the binding, where it is of one. `tcp-reset`
 * needs the protocol in the rule, so "every protocol" takes two.
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

/** To any of the magic IPs, by the smallest block that holds them: all other packets pass one rule. */
export function toAny({ byIp }: ByIp): string {
  return `-d ${covering([...byIp.keys()])}`;
}

/** The same, as where packets come from. */
export function fromAny({ byIp }: ByIp): string {
  return `-s ${covering([...byIp.keys()])}`;
}

/** The first packet of a flow, and what follows it in that direction, from the magic IP: it dials no one. */
export const forged = (ipAddress: string, ports = "") =>
  `-s ${ipAddress} ${ports}-m conntrack --ctdir ORIGINAL `;

/** What conntrack calls a part of no connection, as a segment outside of the window. */
export const invalid = "-m conntrack --ctstate INVALID ";

export const to = (ipAddress: string) => `-d ${ipAddress} `;

/** What the flow's client dialed. */
export const originallyTo = (ipAddress: string) => `-m conntrack --ctdir ORIGINAL --ctorigdst ${ipAddress} `;

/** Lets all other packets pass one rule only. */
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

/** The smallest block with all of them; the tools clear the bits that do not count. */
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
