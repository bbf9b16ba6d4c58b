import { type Binding, bindingName, type DesiredState, type Family, familyOf } from "../../desired/state.ts";
import { chainPrefix, type Jump, type Layout, owner, type Part, perIp, type Surroundings } from "./chains.ts";
import {
  cameFrom,
  dialed,
  forged,
  fromAny,
  invalid,
  originallyDialed,
  originallyTo,
  type Refusal,
  refusing,
  type Rule,
  to,
  toAny,
} from "./matches.ts";
import { isPlain } from "../../desired/node.ts";
import { masquerade, translation } from "./nat.ts";
import { policies, shapes, shapeOf } from "../nftables/objects.ts";

/** The uplinks that are not guarded because iptables cannot take their names. */
export function strangeUplinks({ uplinks = [] }: DesiredState): string[] {
  return uplinks.filter((name) => !isPlain(name));
}

/** No chains when the family has no bindings. */
export function layout(state: DesiredState, family: Family, around: Surroundings): Layout {
  const bindings = state.bindings.filter(({ ipAddress }) => familyOf(ipAddress) === family);
  if (bindings.length === 0) return { chains: [], jumps: [] };
  const part: Part = { state, family, prefix: chainPrefix(state.instance), byIp: byIpOf(bindings), around };
  const parts = [forgery, guard, counting, refusal, liveness, translation, masquerade];
  const all = parts.map((layoutOf) => layoutOf(part));
  return { chains: all.flatMap(({ chains }) => chains), jumps: all.flatMap(({ jumps }) => jumps) };
}

/** Sorts single ports before ranges before the whole IP, because the first rule that matches decides. */
function byIpOf(bindings: Binding[]): Map<string, Binding[]> {
  const rank = (binding: Binding) => shapes.indexOf(shapeOf(binding));
  return Map.groupBy(
    bindings.toSorted((a, b) => rank(a) - rank(b)),
    ({ ipAddress }) => ipAddress,
  );
}

/** Whether another installation has ports of the IP; then the ports that neither has are left alone. */
function isShared({ neighbours = [] }: DesiredState, ipAddress: string): boolean {
  return neighbours.some((neighbour) => neighbour.ipAddress === ipAddress);
}

export function unservedIp(ipAddress: string): Binding {
  const whole = { ipAddress, protocol: undefined, port: 0, endPort: 65535 };
  return { ...whole, targets: [], loadBalance: false, whenNoTarget: "reject", live: [] };
}

/** Counts what clients send, by binding. mangle sees every packet as it was sent, nat only a flow's first. */
function counting(part: Part): Layout {
  const jumps: Jump[] = ["PREROUTING", "OUTPUT"].map((from) => ({
    ...{ table: "mangle", from },
    text: `${toAny(part)} -j ${part.prefix}-COUNT`,
  }));
  const chains = perIp(part, "mangle", "COUNT", to, (bindings) =>
    bindings.map((binding) => ({ text: `${dialed(binding)}-j RETURN`, binding: bindingName(binding) })),
  );
  return { chains, jumps };
}

/**
 * Drops flows that begin at a magic IP, which only answers. A forged datagram would leave a conntrack entry for which a
 * client's own packets are the answers, and answers are not translated.
 */
function forgery(part: Part): Layout {
  const { state, prefix, byIp } = part;
  const name = `${prefix}-FORGED`;
  const jumps: Jump[] = ["PREROUTING", "OUTPUT"].map((from) => ({
    ...{ table: "mangle", from },
    text: `${fromAny(part)} -j ${name}`,
  }));
  const rules = [...byIp].flatMap(([ipAddress, bindings]) => {
    const ports = isShared(state, ipAddress) ? bindings.map(cameFrom) : [""];
    return ports.map((port) => ({ text: `${forged(ipAddress, port)}-j DROP` }));
  });
  return { chains: [{ table: "mangle", role: "FORGED", name, rules: [owner(state), ...rules] }], jumps };
}

/** Drops packets to a magic IP that come in by an uplink, before they are counted: mangle is before nat. */
function guard(part: Part): Layout {
  const uplinks = (part.state.uplinks ?? []).filter(isPlain);
  if (uplinks.length === 0) return { chains: [], jumps: [] };
  const jumps: Jump[] = uplinks.map((uplink) => ({
    ...{ table: "mangle", from: "PREROUTING" },
    text: `-i ${uplink} ${toAny(part)} -j ${part.prefix}-GUARD`,
  }));
  const chains = perIp(part, "mangle", "GUARD", to, (bindings, ipAddress) => [
    ...bindings.map((binding) => ({ text: `${dialed(binding)}-j DROP`, binding: bindingName(binding) })),
    ...(isShared(part.state, ipAddress) ? [] : [{ text: "-j DROP" }]),
  ]);
  return { chains, jumps };
}

/** Refuses packets that still have a magic IP as destination after the translation: they found no target. */
function refusal(part: Part): Layout {
  const { family, state } = part;
  const jumps: Jump[] = ["FORWARD", "OUTPUT"].map((from) => ({
    ...{ table: "filter", from },
    text: `${toAny(part)} -j ${part.prefix}-REFUSE`,
  }));
  const chains = perIp(part, "filter", "REFUSE", to, (bindings, ipAddress) => {
    const whole = bindings.some(({ protocol }) => protocol === undefined);
    const others = policies(bindings).get(ipAddress) ?? "reject";
    const shared = isShared(state, ipAddress);
    return [
      ...unfit(part, shared ? bindings.map(dialed) : [""]),
      ...bindings.flatMap((binding) =>
        refusing({ ...binding, family }, dialed(binding), bindingName(binding)),
      ),
      ...(whole || shared ? [] : refusing({ family, protocol: undefined, whenNoTarget: others }, "")),
    ];
  });
  return { chains, jumps };
}

/**
 * A reset of a segment of no connection would end the healthy connection with the same ports (iptables-extensions(8),
 * REJECT). Without tcp_loose, segments of connections that conntrack forgot look the same, and must be reset.
 */
function unfit({ around }: Part, ports: string[]): Rule[] {
  return around.tcpLoose ? ports.map((port) => ({ text: `${port}${invalid}-j DROP` })) : [];
}

/**
 * Refuses flows that were translated to a pod that left the live set; in INPUT for targets on the host network. Only
 * ports of our bindings are refused: another installation may have other ports of the IP.
 */
function liveness(part: Part): Layout {
  const { family, prefix, state } = part;
  const jumps: Jump[] = ["FORWARD", "OUTPUT", "INPUT"].map((from) => ({
    ...{ table: "filter", from },
    // Without a match: iptables deletes a rule by finding it, and does not find every conntrack match that it saved.
    text: `-j ${prefix}-LIVE`,
  }));
  const podIps = Map.groupBy(state.live, ({ ipAddress }) => ipAddress);
  const chains = perIp(part, "filter", "LIVE", originallyTo, (bindings, ipAddress) => [
    // What was not translated is left to REFUSE, which may have let it pass.
    { text: `-d ${ipAddress} -j RETURN` },
    ...(podIps.get(ipAddress) ?? []).map(({ podIp }) => ({ text: `-d ${podIp} -j RETURN` })),
    ...bindings.flatMap((binding) => {
      const { protocol } = binding;
      const refusal: Refusal = { family, protocol, whenNoTarget: "reject" };
      return refusing(refusal, originallyDialed(binding), bindingName(binding));
    }),
  ]);
  return { chains, jumps };
}
