import type { WhenNoTarget } from "../../config/config.ts";
import type { Binding, Family, Frontend } from "../../desired/state.ts";

/**
 * How a binding is looked up. The suffix is part of the names of sets and maps: `targets4`, `targets-ranges6`,
 * `targets-whole4`. All of them are hashed. Interval sets could hold ranges, but the kernel shows the elements of one
 * (nft_set_pipapo) some hundred microseconds after the rest of a transaction. A client that connects in between is
 * refused or led to the whole IP's pod, so rules compare ranges instead (ranges.ts).
 */
export const shapes = ["", "-ranges", "-whole"] as const;
export type Shape = (typeof shapes)[number];

/** A new flow to a load-balanced binding draws one of 60 slots: target counts that divide 60 get equal shares. */
export const slots = 60;

export const families = ["ipv4", "ipv6"] as const;

/** `4` or `6`, the end of a family's names. */
export const digit = (family: Family) => (family === "ipv4" ? "4" : "6");

/** What nft calls the header. */
export const header = (family: Family) => (family === "ipv4" ? "ip" : "ip6");

export function shapeOf({ protocol, port, endPort }: Frontend): Shape {
  if (protocol === undefined) return "-whole";
  return port === endPort ? "" : "-ranges";
}

/** The key by which a packet to the magic IP is looked up. Rules compare ranges instead. */
export function lookup(family: Family, shape: Exclude<Shape, "-ranges">): string {
  const destination = `${header(family)} daddr`;
  return shape === "-whole" ? destination : `${destination} . meta l4proto . th dport`;
}

/** The key by which a binding is counted; that of a range has its first and its last port. */
export function key(frontend: Frontend): string {
  const { ipAddress, protocol, port, endPort } = frontend;
  if (protocol === undefined) return ipAddress;
  return `${ipAddress} . ${protocol} . ${port}${endPort === port ? "" : ` . ${endPort}`}`;
}

/**
 * What happens to ports of the magic IP that no binding owns: the policy of the whole IP, else the strictest of its
 * bindings. Where another installation has ports of the IP, too, both refuse, or the order of the tables would decide.
 */
export function policies(bindings: Binding[], neighbours: Frontend[] = []): Map<string, WhenNoTarget> {
  const byIp = Map.groupBy(bindings, ({ ipAddress }) => ipAddress);
  const shared = new Set(neighbours.map(({ ipAddress }) => ipAddress));
  return new Map([...byIp].map(([ipAddress, own]) => [ipAddress, policy(own, shared.has(ipAddress))]));
}

function policy(bindings: Binding[], isShared: boolean): WhenNoTarget {
  const whole = bindings.find(({ protocol }) => protocol === undefined);
  if (whole !== undefined) return whole.whenNoTarget;
  if (isShared) return "reject";
  const strictness: WhenNoTarget[] = ["reject", "drop", "pass"];
  return strictness.find((name) => bindings.some(({ whenNoTarget }) => whenNoTarget === name)) ?? "reject";
}

/** The nft verdict of each policy. */
export const verdicts: Record<WhenNoTarget, string> = { reject: "goto refuse", drop: "drop", pass: "accept" };
