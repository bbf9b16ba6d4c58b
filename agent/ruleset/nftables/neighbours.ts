import { type DesiredState, type Family, familyOf } from "../../desired/state.ts";
import { digit, header, lookup, shapeOf } from "./lookup.ts";

/**
 * Lets packets to another installation's ports of our magic IPs pass: its own table decides about those from outside,
 * and about those without a target. Only packets to none of our ports come here.
 */
export function neighbourRules(
  { neighbours = [] }: DesiredState,
  family: Family,
  names: Set<string>,
): string[] {
  const set = `neighbours${digit(family)}`;
  const wide = neighbours.filter(
    (frontend) => familyOf(frontend.ipAddress) === family && shapeOf(frontend) !== "",
  );
  return [
    ...(names.has(set) ? [`${lookup(family, "")} @${set} accept`] : []),
    ...wide.map(({ ipAddress, protocol, port, endPort }) => {
      const ports = protocol === undefined ? "" : ` ${protocol} dport ${port}-${endPort}`;
      return `${header(family)} daddr ${ipAddress}${ports} accept`;
    }),
  ];
}
