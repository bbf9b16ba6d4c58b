import { type FileHandle, open } from "node:fs/promises";
import { endianness } from "node:os";
import {
  isOn,
  type NodeFacts,
  parseIpv4Routes,
  parseIpv6Routes,
  type Route,
  uplinks,
} from "../desired/node.ts";
import { judge, type Judgements, type Network, outsideLinks, parseNetwork } from "../desired/network.ts";
import { type Command, command } from "./command.ts";

/** The text of a file of /proc, undefined where there is none. A test reads in a network namespace of its own. */
export type Read = (path: string) => Promise<string | undefined>;

/**
 * Bytes of a file of /proc that are read, to the end of a line: 8,000 routes. With more (a full BGP table has a
 * million) IPv4's default route is still read, because the kernel lists IPv4 routes by address; IPv6's is listed last.
 */
const longest = 1024 * 1024;

/** Reads on this node. */
export const readText: Read = async (path) => {
  try {
    const file = await open(path);
    try {
      return await textOf(file);
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
};

async function textOf(file: FileHandle): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  while (length < longest) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(65_536), 0, 65_536);
    if (bytesRead === 0) return Buffer.concat(chunks).toString("utf8");
    chunks.push(buffer.subarray(0, bytesRead));
    length += bytesRead;
  }
  const text = Buffer.concat(chunks).toString("utf8");
  return text.slice(0, text.lastIndexOf("\n") + 1);
}

/** What an observer reads with; a test passes functions that read in its own network namespace. */
export interface Senses {
  read?: Read;
  run?: Command;
}

/**
 * Looks at the node again and again, because a CNI may come, a module may be loaded, and a default route may go. It
 * remembers which links it found inside and outside for as long as they exist.
 */
export class NodeObserver {
  #judgements: Judgements = new Map();
  #facts: NodeFacts | undefined;

  constructor(
    readonly name: string,
    readonly senses: Senses = {},
  ) {}

  /** What the rules need to know of the node. `podIps`: its live pods. */
  async look(podIps: string[] = []): Promise<NodeFacts> {
    const { read = readText, run = command } = this.senses;
    const [bridgeNetfilter, tcpLoose] = await Promise.all([readBridgeNetfilter(read), readTcpLoose(read)]);
    const switches = { bridgeNetfilter, ...(!tcpLoose && { tcpLoose }) };
    try {
      const network = await readNetwork(run, podIps);
      this.#judgements = judge(network, this.#judgements);
      const outside = outsideLinks(network, this.#judgements);
      this.#facts = {
        ...{ name: this.name, ...switches },
        uplinks: outside.map(({ name }) => name),
        uplinkIndexes: outside.map(({ index }) => index).sort((a, b) => a - b),
      };
      return this.#facts;
    } catch (error) {
      const known = { ...(this.#facts ?? (await readNodeFacts(this.name, read))) };
      delete known.tcpLoose;
      const trouble = `the node's interfaces and routes could not be read, what was known of them holds: ${error instanceof Error ? error.message : String(error)}`;
      return { ...known, ...switches, trouble };
    }
  }
}

/** The node's links and routes, and where these pods are. @throws {CommandError} */
export async function readNetwork(run: Command, podIps: string[]): Promise<Network> {
  return parseNetwork(await run("magic-ip-netlink", ["routes"], `${podIps.join("\n")}\n`));
}

/** What /proc alone tells of a node: the interfaces with a default route. */
export async function readNodeFacts(name: string, read: Read = readText): Promise<NodeFacts> {
  const [routes, bridgeNetfilter, tcpLoose] = await Promise.all([
    readRoutes(read),
    readBridgeNetfilter(read),
    readTcpLoose(read),
  ]);
  return { name, uplinks: uplinks(routes), bridgeNetfilter, ...(!tcpLoose && { tcpLoose }) };
}

/** The sysctl exists once conntrack is loaded, and is on by default. */
export async function readTcpLoose(read: Read): Promise<boolean> {
  const text = await read("/proc/sys/net/netfilter/nf_conntrack_tcp_loose");
  return text === undefined || isOn(text);
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
