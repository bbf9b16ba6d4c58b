import type { Scope, Survey } from "../doctor.ts";
import { isOn, parseIpv4Addresses } from "../node.ts";
import type { Command } from "./command.ts";
import { type Read, readBridgeNetfilter, readRoutes } from "./node.ts";
import { type OthersRules, readOthersRules } from "./others.ts";
import { findIptables, probeConntrack, probeNft } from "./probe.ts";

/** Looks at all of the node that decides on traffic to a magic IP. Changes nothing; what fails is part of the survey. */
export async function surveyNode(command: Command, read: Read, { backend, dialed }: Scope): Promise<Survey> {
  const [nft, conntrack] = [await probeNft(command), await probeConntrack(command)];
  const needed = !nft.works || backend === "iptables";
  const [iptables, network, rules] = await Promise.all([
    needed ? findIptables(command) : [],
    readNetwork(read),
    nft.works
      ? readOthersRules(
          command,
          read,
          dialed.map(({ ipAddress }) => ipAddress),
        )
      : noRules,
  ]);
  return { nft, conntrack, iptables, ...network, ...rules };
}

const noRules: Omit<OthersRules, "unreadable"> & { unreadable: undefined } = {
  dropping: [],
  untracked: [],
  services: [],
  unreadable: undefined,
};

type Network = Omit<Survey, "nft" | "conntrack" | "iptables" | keyof OthersRules>;

async function readNetwork(read: Read): Promise<Network> {
  const sysctl = async (name: string) => read(`/proc/sys/net/${name}`);
  const [ipv4, ipv6, disabled] = [
    isOn(await sysctl("ipv4/ip_forward")),
    isOn(await sysctl("ipv6/conf/all/forwarding")),
    await sysctl("ipv6/conf/all/disable_ipv6"),
  ];
  return {
    forwarding: { ipv4, ipv6 },
    ipv6: disabled !== undefined && !isOn(disabled),
    bridgeNetfilter: await readBridgeNetfilter(read),
    conntrackTable: await readConntrackTable(sysctl),
    interfaces: interfaceNames((await read("/proc/net/dev")) ?? ""),
    routes: await readRoutes(read),
    addresses: parseIpv4Addresses((await read("/proc/net/fib_trie")) ?? ""),
  };
}

async function readConntrackTable(
  sysctl: (name: string) => Promise<string | undefined>,
): Promise<Survey["conntrackTable"]> {
  const count = await sysctl("netfilter/nf_conntrack_count");
  const maximum = await sysctl("netfilter/nf_conntrack_max");
  if (count === undefined || maximum === undefined) return undefined;
  return { count: Number(count), maximum: Number(maximum) };
}

/** From /proc/net/dev, which unlike /sys is of the network namespace whoever mounted it. */
function interfaceNames(text: string): string[] {
  return [...text.matchAll(/^\s*([^\s:|]+):/gm)].map(([, name = ""]) => name);
}
