import type { WhenNoTarget } from "../../config/config.ts";
import { type Binding, type DesiredState, type Family, familyOf } from "../../desired/state.ts";
import { digit, header, policies, shapeOf, slots, verdicts } from "./lookup.ts";

/**
 * Ranges of ports, as rules. A map leads the packets of each magic IP that has ranges to a chain with one rule for each
 * range, so a packet passes the ranges of its own magic IP only. Each role of a range has such a map, and a chain for
 * each of these IPs. While nft loads the table, it takes some 25 kB for each range (1,000 of them: 35 to 50 MB).
 */
const roles = ["targets", "traffic", "outside", "rejected", "policy"] as const;
export type Role = (typeof roles)[number];

/** A chain that is no base chain. */
export interface RangeChain {
  name: string;
  rules: string[];
}

/** The maps that lead to the chains, with their elements. */
export function rangedRoles(state: DesiredState, family: Family): { name: string; elements: string[] }[] {
  const ips = rangedIps(state, family);
  return rolesOf(state, ips).map((role) => ({
    name: dispatchMap(role, family),
    elements: ips.map(({ ipAddress }, index) => `${ipAddress} : goto ${chainName(role, family, index)}`),
  }));
}

/** The rule that leads to the chains, if there are any. Rules for single ports come before it, and end there. */
export function toRanges(names: Set<string>, family: Family, role: Role): string[] {
  const map = dispatchMap(role, family);
  return names.has(map) ? [`${header(family)} daddr vmap @${map}`] : [];
}

/** The chains. Each ends with the role's other rules, for packets that are in no range. */
export function rangeChains(state: DesiredState, family: Family, rest: Record<Role, string[]>): RangeChain[] {
  const ips = rangedIps(state, family);
  return rolesOf(state, ips).flatMap((role) =>
    ips.map((ip, index) => ({
      name: chainName(role, family, index),
      rules: [...ip.ranges.flatMap((range) => rulesOf(role, range, ip)), ...rest[role]],
    })),
  );
}

/** A magic IP with its ranges. */
interface RangedIp {
  ipAddress: string;
  ranges: Binding[];
  /** Whether its other ports are a whole IP's. */
  whole: boolean;
  policy: WhenNoTarget | undefined;
}

function rangedIps({ bindings, neighbours }: DesiredState, family: Family): RangedIp[] {
  const byIp = Map.groupBy(
    bindings.filter(({ ipAddress }) => familyOf(ipAddress) === family),
    ({ ipAddress }) => ipAddress,
  );
  return [...byIp].flatMap(([ipAddress, own]) => {
    const ranges = own.filter((binding) => shapeOf(binding) === "-ranges");
    if (ranges.length === 0) return [];
    const whole = own.some(({ protocol }) => protocol === undefined);
    return [{ ipAddress, ranges, whole, policy: policies(own, neighbours).get(ipAddress) }];
  });
}

/** The outside role needs the outside guard; the policy role needs a range whose policy differs from its IP's. */
function rolesOf({ uplinks }: DesiredState, ips: RangedIp[]): Role[] {
  const differ = ips.some(({ ranges, policy }) => ranges.some(({ whenNoTarget }) => whenNoTarget !== policy));
  const without = { targets: false, traffic: false, rejected: false, outside: uplinks === undefined };
  return ips.length === 0 ? [] : roles.filter((role) => (role === "policy" ? differ : !without[role]));
}

function rulesOf(role: Role, range: Binding, { whole, policy }: RangedIp): string[] {
  const family = familyOf(range.ipAddress);
  const end = digit(family);
  const { protocol, port, endPort, whenNoTarget } = range;
  const match = `${protocol} dport ${port}-${endPort}`;
  const key = `${header(family)} daddr . meta l4proto . ${always(port)} . ${always(endPort)}`;
  const counted = `${match} ${key} @${role}-ranges${end}`;
  switch (role) {
    case "targets":
      // A packet to a range without a target must not be led to the whole IP's target.
      return [`${match} ${translation(range, family)}`, ...(whole ? [`${match} return`] : [])];
    case "traffic":
      return [`${counted} goto owned${end}`];
    case "outside":
      return [`${counted} drop`];
    case "rejected":
      return [`${counted} return`];
    case "policy":
      return whenNoTarget === policy ? [] : [`${match} ${verdicts[whenNoTarget]}`];
  }
}

function translation(range: Binding, family: Family): string {
  const [map, draw] = range.loadBalance ? ["spread", ` . numgen random mod ${slots}`] : ["targets", ""];
  const key = `${header(family)} daddr . meta l4proto . ${always(range.port)}`;
  return `dnat ${header(family)} to ${key}${draw} map @${map}-ranges${digit(family)}`;
}

/** A constant in a key, where nft takes no plain number: a random number below 1, plus the constant. */
const always = (number: number) => `numgen random mod 1 offset ${number}`;

const dispatchMap = (role: Role, family: Family) => `ranged-${role}${digit(family)}`;
const chainName = (role: Role, family: Family, index: number) => `${role}-ranges${digit(family)}-${index}`;
