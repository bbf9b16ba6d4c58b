import { type DesiredState, type Family, familyOf } from "../../desired/state.ts";
import { digit, header, lookup, shapeOf } from "./lookup.ts";

/**
 * Lets pass what another installation has on our magic IPs: whether it comes from outside, and what clients get without a
 * target, is its own table's to say. Only packets that are for none of our ports come here.
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
