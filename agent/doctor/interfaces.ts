import type { Survey } from "./scope.ts";
import { isOn, type Route, uplinks } from "../desired/node.ts";
import type { Read } from "../netfilter/node.ts";

/** Interfaces that are looked at: a node has 110 to 250 pods. */
const most = 500;

/** Pods' interfaces that forward no IPv4: those with a route that are neither loopback nor an uplink are asked. */
export async function readForwarding(read: Read, routes: Route[]): Promise<string[]> {
  const outside = new Set(["lo", ...uplinks(routes)]);
  const ofIpv4 = routes.filter(({ block, kind }) => block.family === "ipv4" && kind === "unicast");
  const names = [...new Set(ofIpv4.flatMap(({ interface: name }) => name ?? []))];
  const inside = names.filter((name) => !outside.has(name)).slice(0, most);
  const states = await eachOf(inside, (name) => read(`/proc/sys/net/ipv4/conf/${name}/forwarding`));
  return inside.filter((_, index) => states[index] !== undefined && !isOn(states[index]));
}

/** The ports of each bridge with the hairpin mode off; /sys shows the network namespace in which it was mounted. */
export async function readHairpin(read: Read, interfaces: string[]): Promise<Survey["hairpinOff"]> {
  const ports = interfaces.slice(0, most);
  const modes = await eachOf(ports, (name) => read(`/sys/class/net/${name}/brport/hairpin_mode`));
  const off = ports.filter((_, index) => modes[index]?.trim() === "0");
  const bridges = await eachOf(off, (name) => read(`/sys/class/net/${name}/brport/bridge/uevent`));
  const pairs = off.map((port, index) => ({
    port,
    bridge: /^INTERFACE=(.+)$/m.exec(bridges[index] ?? "")?.[1] ?? "",
  }));
  return [...Map.groupBy(pairs, ({ bridge }) => bridge)].map(([bridge, of]) => ({
    bridge,
    ports: of.map(({ port }) => port),
  }));
}

/** One after the other: the kernel's files are quick, and parallel reads would take a thread each. */
async function eachOf<T>(names: string[], look: (name: string) => Promise<T>): Promise<T[]> {
  const found: T[] = [];
  for (const name of names) found.push(await look(name));
  return found;
}
