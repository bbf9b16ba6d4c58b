import { type Binding, familyOf } from "../../desired/state.ts";
import { type Jump, type Layout, owner, type Part, perIp } from "./chains.ts";
import { dialed, notOriginallyTo, originallyTo, to, toAny, withLength } from "./matches.ts";

export function translation(part: Part): Layout {
  const jumps: Jump[] = ["PREROUTING", ...(part.state.hostClients ? ["OUTPUT"] : [])].map((from) => ({
    ...{ table: "nat", from },
    text: `${toAny(part)} -j ${part.prefix}-DNAT`,
  }));
  // A connection that conntrack does not know is not taken up from its middle: see ../nftables/chains.ts.
  const unknown = { text: "-p tcp ! --syn -j RETURN" };
  const chains = perIp(part, "nat", "DNAT", to, (bindings) => [
    unknown,
    ...bindings.flatMap((binding) => destinations(binding).map((text) => ({ text }))),
  ]);
  return { chains, jumps };
}

/** A new flow gets the one target, or one of several with equal chances: with n left, a rule takes one in n. */
function destinations(binding: Binding): string[] {
  const { targets } = binding;
  // A port or range without a target must not be led to the whole IP's targets.
  if (targets.length === 0) return binding.protocol === undefined ? [] : [`${dialed(binding)}-j RETURN`];
  return targets.map(({ ip, port }, index) => {
    const left = targets.length - index;
    const chance = left > 1 ? `-m statistic --mode random --probability ${(1 / left).toFixed(9)} ` : "";
    const host = port !== undefined && familyOf(ip) === "ipv6" ? `[${ip}]` : ip;
    return `${dialed(binding)}${chance}-j DNAT --to-destination ${host}${port === undefined ? "" : `:${port}`}`;
  });
}

/**
 * Without it a target that dials itself would answer itself. Where netfilter does not see what bridges pass on, the
 * answer to a neighbour on the same bridge would go straight to it, past netfilter. POSTROUTING knows no incoming
 * interface, but neighbours share the target's network, which is matched. Other clients keep their address.
 */
export function masquerade({ state, family, prefix, byIp, around }: Part): Layout {
  const pairs = state.live.filter(({ ipAddress }) => byIp.has(ipAddress));
  if (pairs.length === 0) return { chains: [], jumps: [] };
  const rules = pairs.map(({ ipAddress, podIp }) => {
    const source = {
      always: "",
      hairpin: `-s ${podIp} `,
      bridged: `-s ${withLength(podIp, around.segmentLength(podIp))} `,
    };
    return {
      text: `${originallyTo(ipAddress)}${source[state.masquerade[family]]}-d ${podIp} -j MASQUERADE`,
    };
  });
  const name = `${prefix}-MASQ`;
  return {
    chains: [{ table: "nat", role: "MASQ", name, rules: [owner(state, notOriginallyTo(byIp)), ...rules] }],
    jumps: [{ table: "nat", from: "POSTROUTING", text: `-j ${name}` }],
  };
}
