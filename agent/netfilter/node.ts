import { readFile } from "node:fs/promises";
import { endianness } from "node:os";
import { isOn, type NodeFacts, parseIpv4Routes, parseIpv6Routes, type Route, uplinks } from "../node.ts";

/** The text of a file of /proc, undefined where there is none. A test reads in a network namespace of its own. */
export type Read = (path: string) => Promise<string | undefined>;

/** Reads on this node. */
export const readText: Read = (path) => readFile(path, "utf8").catch(() => undefined);

/** What the rules have to know of the node. It may change while the agent runs: a CNI comes, a module is loaded. */
export async function readNodeFacts(name: string, read: Read = readText): Promise<NodeFacts> {
  const [routes, bridgeNetfilter] = await Promise.all([readRoutes(read), readBridgeNetfilter(read)]);
  return { name, uplinks: uplinks(routes), bridgeNetfilter };
}

export async function readRoutes(read: Read): Promise<Route[]> {
  const [ipv4 = "", ipv6 = ""] = await Promise.all([read("/proc/net/route"), read("/proc/net/ipv6_route")]);
  return [...parseIpv4Routes(ipv4, endianness() === "LE"), ...parseIpv6Routes(ipv6)];
}

export async function readBridgeNetfilter(read: Read): Promise<NodeFacts["bridgeNetfilter"]> {
  const on = async (name: string) => isOn(await read(`/proc/sys/net/bridge/bridge-nf-call-${name}`));
  const [ipv4, ipv6] = await Promise.all([on("iptables"), on("ip6tables")]);
  return { ipv4, ipv6 };
}
