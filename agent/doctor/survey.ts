import type { Scope, Survey } from "./scope.ts";
import type { Network } from "../desired/network.ts";
import { isOn, parseIpv4Addresses, type Route } from "../desired/node.ts";
import { ipvsInterface } from "./taken.ts";
import type { Command } from "../netfilter/command.ts";
import { type Read, readBridgeNetfilter, readNetwork, readRoutes } from "../netfilter/node.ts";
import { readForwarding, readHairpin } from "./interfaces.ts";
import { type OthersRules, type Question, readOthersRules } from "./others.ts";
import { findIptables, probeConntrack, probeNft } from "./probe.ts";
import { Reader } from "./reader.ts";

/**
 * Reads everything on the node that decides about traffic to a magic IP. Changes nothing; what fails is part of the
 * survey. The reader bounds the time for other programs' rules, however many there are.
 */
export async function surveyNode(
  command: Command,
  read: Read,
  scope: Scope,
  podIps: string[] = [],
): Promise<Survey> {
  const reader = new Reader(command);
  const [nft, conntrack] = await Promise.all([probeNft(command), probeConntrack(command)]);
  const needed = !nft.works || scope.backend === "iptables";
  const [iptables, switches] = await Promise.all([needed ? findIptables(command) : [], readSwitches(read)]);
  const owned = ofIpvs(scope, switches);
  const all = await readNetwork(command, [...podIps, ...owned]).catch(() => undefined);
  const network = all && { ...all, pods: all.pods.filter(({ pod }) => !owned.includes(pod)) };
  const rules = nft.works
    ? await readOthersRules(reader, read, questionOf(scope, switches))
    : noRulesOf(switches);
  return {
    nft,
    conntrack,
    iptables,
    ...switches,
    addresses: switches.addresses.map((address) => withInterface(address, owned, all)),
    network,
    ...rules,
    unreadable: nft.works ? reader.unreadable : undefined,
  };
}

/** The magic IPs that are addresses of this node, where kube-proxy's ipvs mode may have added them. */
function ofIpvs({ dialed }: Scope, { interfaces, addresses }: Switches): string[] {
  if (!interfaces.includes(ipvsInterface)) return [];
  const own = new Set(addresses.map(ipOf));
  return dialed.map(({ ipAddress }) => ipAddress).filter((ipAddress) => own.has(ipAddress));
}

/** Adds the interface, which /proc/net/fib_trie does not show. */
function withInterface(address: Route, owned: string[], network: Network | undefined): Route {
  const ipAddress = ipOf(address);
  if (!owned.includes(ipAddress)) return address;
  const link = network?.pods.find(({ pod }) => pod === ipAddress)?.link;
  return { ...address, interface: network?.links.find(({ index }) => index === link)?.name };
}

function ipOf({ range }: Route): string {
  return range.slice(0, range.indexOf("/"));
}

/** nftables translates at -110, before kube-proxy and iptables; iptables' own chains are at -100. */
function questionOf({ dialed, backend }: Scope, { interfaces }: Switches): Question {
  return {
    interfaces,
    ipAddresses: dialed.map(({ ipAddress }) => ipAddress),
    priority: backend === "iptables" ? -100 : -110,
  };
}

/** What is reported where nft cannot be used. */
function noRulesOf({ interfaces }: Switches): OthersRules {
  const cilium = interfaces.includes("cilium_host") ? "unknown" : undefined;
  return { dropping: [], early: [], services: [], cilium };
}

type Switches = Omit<Survey, "nft" | "conntrack" | "iptables" | "network" | keyof OthersRules | "unreadable">;

async function readSwitches(read: Read): Promise<Switches> {
  const sysctl = async (name: string) => read(`/proc/sys/net/${name}`);
  const [ipv4, ipv6, disabled] = [
    isOn(await sysctl("ipv4/ip_forward")),
    isOn(await sysctl("ipv6/conf/all/forwarding")),
    await sysctl("ipv6/conf/all/disable_ipv6"),
  ];
  const interfaces = interfaceNames((await read("/proc/net/dev")) ?? "");
  const routes = await readRoutes(read);
  return {
    forwarding: { ipv4, ipv6 },
    notForwarding: ipv4 ? await readForwarding(read, routes) : [],
    hairpinOff: await readHairpin(read, interfaces),
    ipv6: disabled !== undefined && !isOn(disabled),
    bridgeNetfilter: await readBridgeNetfilter(read),
    conntrackTable: await readConntrackTable(sysctl),
    interfaces,
    routes,
    addresses: parseIpv4Addresses((await read("/proc/net/fib_trie")) ?? ""),
    serviceHost: serviceHost((await read("/proc/self/environ")) ?? ""),
  };
}

/** The kubelet tells every pod the API server's Service IP. */
function serviceHost(environment: string): string | undefined {
  return /(?:^|\0)KUBERNETES_SERVICE_HOST=([^\0]+)/.exec(environment)?.[1];
}

async function readConntrackTable(
  sysctl: (name: string) => Promise<string | undefined>,
): Promise<Survey["conntrackTable"]> {
  const count = await sysctl("netfilter/nf_conntrack_count");
  const maximum = await sysctl("netfilter/nf_conntrack_max");
  if (count === undefined || maximum === undefined) return undefined;
  return { count: Number(count), maximum: Number(maximum) };
}

/** From /proc/net/dev, which shows the reader's network namespace; /sys shows that in which it was mounted. */
function interfaceNames(text: string): string[] {
  return [...text.matchAll(/^\s*([^\s:|]+):/gm)].map(([, name = ""]) => name);
}
