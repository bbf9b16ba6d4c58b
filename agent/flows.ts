import type { Protocol } from "./config.ts";
import { type Binding, bindingName, type DesiredState, pairName } from "./desired.ts";

/** A flow to a magic IP, as conntrack knows it. */
export interface Flow {
  protocol: Protocol;
  /** The magic IP and the port that the client dials. */
  ipAddress: string;
  port: number;
  /** Who answers; the magic IP itself when the flow was never translated. */
  replyIp: string;
  replyPort: number;
}

/**
 * Reads what `conntrack -L` prints. Each line has two tuples, the original and the reply:
 *
 *     udp 17 29 src=10.244.1.5 dst=169.254.210.210 sport=40000 dport=8125 src=10.244.1.7 dst=10.244.1.5 sport=8125 …
 */
export function parseFlows(listing: string): Flow[] {
  return listing.split("\n").flatMap((line) => {
    const protocol = /^(tcp|udp)\s/.exec(line)?.[1];
    const [original, reply] = [...line.matchAll(/src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)/g)];
    if (protocol === undefined || original === undefined || reply === undefined) return [];
    return [
      {
        protocol: protocol as Protocol,
        ipAddress: original[2] ?? "",
        port: Number(original[4]),
        replyIp: reply[1] ?? "",
        replyPort: Number(reply[3]),
      },
    ];
  });
}

/**
 * The flows that must not go on, one of each kind. TCP stays with a pod of the live set, so that it drains; UDP has no
 * end to wait for and follows its binding at once. Flows to ports that are not ours are left alone.
 */
export function staleFlows(flows: Flow[], { bindings, live }: DesiredState): Flow[] {
  const byName = new Map(bindings.map((binding) => [bindingName(binding), binding]));
  const pairs = new Set(live.map(pairName));
  const stale = flows.filter((flow) => {
    const binding = byName.get(bindingName(flow));
    if (binding === undefined) return false;
    return flow.protocol === "udp"
      ? leadsElsewhere(flow, binding)
      : !pairs.has(pairName({ ipAddress: flow.ipAddress, podIp: flow.replyIp }));
  });
  return [
    ...new Map(
      stale.map((flow) => [`${bindingName(flow)} ${flow.replyIp} ${flow.replyPort}`, flow]),
    ).values(),
  ];
}

function leadsElsewhere(flow: Flow, { target }: Binding): boolean {
  return target?.ip !== flow.replyIp || target.port !== flow.replyPort;
}
