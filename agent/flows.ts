import type { Protocol } from "./config.ts";
import {
  type Binding,
  bindingName,
  type DesiredState,
  familyOf,
  type Frontend,
  overlap,
  pairName,
} from "./desired.ts";
import type { Family } from "./target.ts";

/** A flow to a magic IP, as conntrack knows it. */
export interface Flow {
  protocol: Protocol | "icmp" | "icmpv6";
  /** Of TCP, in conntrack's words, as ESTABLISHED. */
  state: string | undefined;
  /** The magic IP and the port that the client dials; echo requests have no ports. */
  ipAddress: string;
  port: number | undefined;
  /** Who answers; the magic IP itself when the flow was never translated. */
  replyIp: string;
  replyPort: number | undefined;
}

/** The flows that a desired state is held against. */
export interface FlowQuery {
  family: Family;
  protocol: Flow["protocol"];
  ipAddresses: string[];
}

/**
 * The flows in a listing of conntrack, as `conntrack -L` prints it, by its keys and not by its columns, which differ
 * between protocols. Each line has two tuples, the original and the reply:
 *
 *     udp 17 29 src=10.244.1.5 dst=169.254.210.210 sport=40000 dport=8125 src=10.244.1.7 dst=10.244.1.5 sport=8125 …
 */
export function parseFlows(listing: string): Flow[] {
  return listing.split("\n").flatMap((line) => {
    const protocol = /^(tcp|udp|sctp|icmpv6|icmp)\s/.exec(line)?.[1];
    const [original, reply] = [...line.matchAll(/src=(\S+) dst=(\S+)(?: sport=(\d+) dport=(\d+))?/g)];
    if (protocol === undefined || original === undefined || reply === undefined) return [];
    return [
      {
        protocol: protocol as Flow["protocol"],
        state: /^tcp\s.*? ([A-Z_\d]+) src=/.exec(line)?.[1],
        ipAddress: original[2] ?? "",
        port: numberOf(original[4]),
        replyIp: reply[1] ?? "",
        replyPort: numberOf(reply[3]),
      },
    ];
  });
}

/**
 * What to ask conntrack for, so that it need not list the flows of the whole node. UDP comes before what drains: its
 * flows move only when they are ended, while the live set has already cut connections to a pod that is gone.
 */
export function flowQueries(frontends: Frontend[]): FlowQuery[] {
  const byFamily = Map.groupBy(frontends, ({ ipAddress }) => familyOf(ipAddress));
  const queries = [...byFamily].flatMap(([family, own]) => {
    const ipAddresses = [...new Set(own.map(({ ipAddress }) => ipAddress))];
    const protocols = new Set(own.flatMap(({ protocol }) => protocol ?? [...everyProtocol, echo(family)]));
    return [...protocols].map((protocol) => ({ family, protocol, ipAddresses }));
  });
  return queries.sort((a, b) => Number(drains(a)) - Number(drains(b)));
}

/** Whether a flow must not go on. */
export type Judge = (flow: Flow) => boolean;

/**
 * What a state says of flows. TCP and SCTP stay with a pod of the live set, so that they drain; UDP has no end to wait for
 * and follows its binding at once. Flows to ports that are not ours are left alone.
 */
export function judgeOf(state: DesiredState): Judge {
  const bindingOf = finder(state.bindings);
  const pairs = new Set(state.live.map(pairName));
  return (flow) => {
    const binding = bindingOf(flow);
    if (binding === undefined || passes(flow, binding)) return false;
    return drains(flow)
      ? !pairs.has(pairName({ ipAddress: flow.ipAddress, podIp: flow.replyIp }))
      : leadsElsewhere(flow, binding);
  };
}

/** One flow of each kind, as they are ended. */
export function kindsOf(flows: Flow[]): Flow[] {
  return [...new Map(flows.map((flow) => [Object.values(flow).join(" "), flow])).values()];
}

/** Whether a flow goes to one of the frontends. */
export function leadsTo(frontends: Frontend[], { ipAddress, protocol, port }: Flow): boolean {
  if (port === undefined || protocol === "icmp" || protocol === "icmpv6")
    return frontends.some((each) => each.ipAddress === ipAddress && each.protocol === undefined);
  return frontends.some((each) => overlap(each, { ipAddress, protocol, port, endPort: port }));
}

const everyProtocol: Protocol[] = ["tcp", "udp", "sctp"];

function drains({ protocol }: Pick<Flow, "protocol">): boolean {
  return protocol === "tcp" || protocol === "sctp";
}

function echo(family: Family): Flow["protocol"] {
  return family === "ipv4" ? "icmp" : "icmpv6";
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

/** As the rules do: the port of its own before the range, the range before the whole IP. */
function finder(bindings: Binding[]): (flow: Flow) => Binding | undefined {
  const single = new Map(bindings.map((binding) => [bindingName(binding), binding]));
  const others = Map.groupBy(
    bindings.filter(({ port, endPort }) => port !== endPort),
    ({ ipAddress }) => ipAddress,
  );
  return ({ ipAddress, protocol, port }) => {
    const wide = others.get(ipAddress) ?? [];
    const whole = wide.find((binding) => binding.protocol === undefined);
    if (port === undefined || protocol === "icmp" || protocol === "icmpv6") return whole;
    const own = single.get(bindingName({ ipAddress, protocol, port, endPort: port }));
    const inRange = (binding: Binding) =>
      binding.protocol === protocol && binding.port <= port && port <= binding.endPort;
    return own ?? wide.find(inRange) ?? whole;
  };
}

/** A flow that the network itself answers, because its address lets it pass. */
function passes({ ipAddress, protocol, replyIp }: Flow, { whenNoTarget, targets }: Binding): boolean {
  const isOver = protocol !== "tcp" && targets.length > 0;
  return whenNoTarget === "pass" && replyIp === ipAddress && !isOver;
}

function leadsElsewhere({ port, replyIp, replyPort }: Flow, { targets }: Binding): boolean {
  return !targets.some((target) => target.ip === replyIp && (target.port ?? port) === replyPort);
}
