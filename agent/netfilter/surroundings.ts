import { type DesiredState, type Family, familyOf } from "../desired/state.ts";
import { isDefault, type Route, routesTo } from "../desired/node.ts";
import type { SegmentLength, Surroundings } from "../ruleset/iptables/chains.ts";
import type { Command } from "./command.ts";
import { readRoutes } from "./node.ts";

/** The node's settings that a family's rules depend on. Commands read them, because they see the node's own network. */
export async function readSurroundings(
  run: Command,
  state: DesiredState,
  family: Family,
): Promise<Surroundings> {
  const read = (path: string) => run("cat", [path]).catch(() => undefined);
  const tcpLoose = (await read("/proc/sys/net/netfilter/nf_conntrack_tcp_loose"))?.trim() !== "0";
  return { tcpLoose, segmentLength: await segments(state, family, read) };
}

/** The prefix length that the pods of a bridge share, where the rules need it. */
async function segments(
  state: DesiredState,
  family: Family,
  read: (path: string) => Promise<string | undefined>,
): Promise<SegmentLength> {
  if (state.masquerade[family] !== "bridged") return () => undefined;
  const routes = await readRoutes(read);
  return (podIp) => segmentLength(podIp, routes);
}

/**
 * A pod on a bridge is reached by the route of the bridge's network. A pod with a veth of its own (Calico, the AWS VPC
 * CNI) is reached by a route of its own, and has no neighbours.
 */
function segmentLength(podIp: string, routes: Route[]): number | undefined {
  const [route] = routesTo(podIp, routes);
  const alone = familyOf(podIp) === "ipv4" ? 32 : 128;
  if (route === undefined || route.kind !== "unicast" || isDefault(route) || route.bits === alone)
    return undefined;
  return route.bits;
}
