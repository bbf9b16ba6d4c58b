import type { Survey } from "../../agent/doctor/scope.ts";
import { parseIpv4Routes } from "../../agent/desired/node.ts";

/** A node on which nothing is wrong, changed as a test needs it. */
export function survey(changes: Partial<Survey> = {}): Survey {
  return {
    nft: { works: true },
    conntrack: { works: true },
    iptables: [],
    forwarding: { ipv4: true, ipv6: true },
    notForwarding: [],
    hairpinOff: [],
    ipv6: true,
    bridgeNetfilter: { ipv4: true, ipv6: true },
    conntrackTable: { count: 10, maximum: 1000 },
    interfaces: ["lo", "eth0"],
    cilium: undefined,
    routes: parseIpv4Routes("\neth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0", true),
    network: { links: [], pods: [], diversions: [] },
    addresses: [],
    dropping: [],
    early: [],
    services: [],
    unreadable: [],
    ...changes,
  };
}
