import type { EarlyRule } from "./untracked.ts";
import type { Config } from "../config/config.ts";
import type { DroppingChain } from "./dropping.ts";
import type { CommandFault } from "../netfilter/command.ts";
import type { NodeFacts, Route } from "../desired/node.ts";
import type { Network } from "../desired/network.ts";
import type { Dialed } from "./conditions.ts";
/** Everything that is judged: what surveyNode found on the node. */
export interface Survey {
  nft: ToolState;
  conntrack: ToolState;
  /** The flavours of iptables that are installed; only looked for where nft cannot be used. */
  iptables: string[];
  forwarding: Families;
  /** Pods' interfaces that forward no IPv4 packets although the node does. */
  notForwarding: string[];
  /** Bridges' ports with the hairpin mode off: they send no packet back to where it came from. */
  hairpinOff: { bridge: string; ports: string[] }[];
  /** Whether the kernel has IPv6, and it is not switched off. */
  ipv6: boolean;
  bridgeNetfilter: NodeFacts["bridgeNetfilter"];
  conntrackTable: { count: number; maximum: number } | undefined;
  interfaces: string[];
  /** Undefined: Cilium does not run here; `unknown`: its rules could not be read. */
  cilium: Cilium | "unknown" | undefined;
  routes: Route[];
  /** The links, and the routes to the pods that serve; undefined: they could not be read. */
  network: Network | undefined;
  /** The node's own IPv4 addresses; those of IPv6 are among the routes. */
  addresses: Route[];
  dropping: DroppingChain[];
  early: EarlyRule[];
  services: ServiceAddress[];
  /** The Service IP of the API server, as pods learn it; undefined: outside of a pod. */
  serviceHost?: string | undefined;
  /** Which rules of other programs could not be read, a sentence each; undefined: none of them were read. */
  unreadable: string[] | undefined;
}

interface Families {
  ipv4: boolean;
  ipv6: boolean;
}

/** A tool that works, or why it does not. */
export type ToolState =
  | { works: true }
  /** `lacking`: the parts that the kernel does not have. */
  | { works: false; fault: CommandFault; message: string; lacking?: string[] };

/** The part of a configuration that matters here. */
export interface Scope {
  dialed: Dialed[];
  /** Whether an address has a magic IP of this family only. Without the family the others still have their second one. */
  needs: Families;
  backend: Config["backend"];
  hostClients: boolean;
  outsideGuard: boolean;
  masquerade: Config["masquerade"];
}

/** What the node shows of Cilium, by its sources (1.18, 1.20) and by measurements with 1.18.6. */
export interface Cilium {
  /** Whether its kube-proxy replacement is on: no other program has rules for Services. */
  replacesKubeProxy: boolean;
  /**
   * Families in which it masquerades with iptables. Then it uses legacy host routing, through netfilter, and gives
   * packets that a rule translated cilium_host's address, so that the answer passes netfilter, too.
   */
  masquerades: { ipv4: boolean; ipv6: boolean };
  /** Whether the kernel forwarded pods' packets; with eBPF host routing Cilium's programs bypass this. */
  forwards: boolean;
}

/** An address that kube-proxy translates: a Service's ClusterIP, external IP or load balancer's IP. */
export interface ServiceAddress {
  ipAddress: string;
  /** `namespace/name`, where kube-proxy's rules tell it. */
  service: string | undefined;
  /**
   * Whether it may be an external IP: a user who may create a Service in any namespace chooses it (CVE-2020-8554),
   * while a ClusterIP comes from the cluster's range.
   */
  external: boolean;
}
