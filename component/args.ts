import type * as pulumi from "@pulumi/pulumi";
import { WhenNoTarget } from "./spec/address";
import { Protocol } from "./spec/ports";

// Interfaces of scalars, lists, maps and `as const` enums only: Pulumi's schema has neither unions nor aliases of
// objects, and the component is to be used from every Pulumi language.

export { Protocol, WhenNoTarget };

/** When nodes pull the agent's image. */
export const ImagePullPolicy = { Always: "Always", IfNotPresent: "IfNotPresent", Never: "Never" } as const;
export type ImagePullPolicy = (typeof ImagePullPolicy)[keyof typeof ImagePullPolicy];

/** What puts the rules into the nodes' kernels. */
export const Backend = { Auto: "auto", Nftables: "nftables", Iptables: "iptables" } as const;
export type Backend = (typeof Backend)[keyof typeof Backend];

/** For which clients targets see the node's address instead of the client's own. */
export const Masquerade = { Auto: "auto", Always: "always" } as const;
export type Masquerade = (typeof Masquerade)[keyof typeof Masquerade];

/** One magic IP: which address, which pods it leads to, on which ports. */
export interface AddressArgs {
  /**
   * The magic IP: a unicast IPv4 or IPv6 address that nothing else on a node claims. Link-local IPv4 and unique local IPv6
   * ones (`fd00::/8`) are free everywhere; those of clouds and add-ons, as 169.254.169.254, and fe80::/10 are refused.
   * Example: `169.254.210.210`
   */
  ipAddress: pulumi.Input<string>;
  /**
   * A second magic IP for the same targets and ports: an IPv6 address beside an IPv4 one in `ipAddress`, for clients of
   * either family. Default: none. Example: `fd00:210::210`
   */
  ipv6Address?: pulumi.Input<string>;
  /** Label selector of the target pods, in the syntax of `kubectl -l`. Example: `app=dd-agent` */
  selector: pulumi.Input<string>;
  /** The namespace of the target pods. Default: `default`. Example: `monitoring` */
  namespace?: pulumi.Input<string>;
  /**
   * The ports that clients dial. Default: none, and so the whole IP: every port of every protocol, and ping, as if the
   * address were the target's own. Example: `[{ port: 8126 }, { port: 8125, protocol: "UDP" }]`
   */
  ports?: pulumi.Input<pulumi.Input<MagicIpPortArgs>[]>;
  /**
   * Whether pods on the host network are targets too. Any process of such a node may hold the port that the target is
   * expected on. Default: `false`.
   */
  hostNetworkTargets?: pulumi.Input<boolean>;
  /**
   * Whether new connections are spread, at random, over all ready target pods of the node; otherwise the newest pod gets
   * all of them. Default: `false`.
   */
  loadBalance?: pulumi.Input<boolean>;
  /**
   * What a client gets while its node has no target: `Reject`, an error at once; `Drop`, nothing until it gives up; `Pass`,
   * whatever the node's own routes make of the address. Default: `Reject`.
   */
  whenNoTarget?: pulumi.Input<WhenNoTarget>;
}

/** One port of a magic IP, or a range of them, and where the target listens. */
export interface MagicIpPortArgs {
  /** A name for people, logs and outputs, unique within the address. Default: none. Example: `apm` */
  name?: pulumi.Input<string>;
  /** What clients dial, 1–65535; with `endPort`, the first port of the range. Example: `8126` */
  port: pulumi.Input<number>;
  /**
   * The last port of a range, at least `port`. A range keeps its port numbers: targets listen on the port that is dialed,
   * so `targetPort` and `targetPortName` must be left out. Default: `port`. Example: `8010`
   */
  endPort?: pulumi.Input<number>;
  /** The port that the target listens on. Default: `port`. Excludes `targetPortName`. Example: `18126` */
  targetPort?: pulumi.Input<number>;
  /** The name of the target's container port, looked up in each pod. Excludes `targetPort`. Example: `traceport` */
  targetPortName?: pulumi.Input<string>;
  /** `TCP`, `UDP` or `SCTP`. Default: `TCP`. */
  protocol?: pulumi.Input<Protocol>;
}

/** The agent that runs on every node. All of it may be left out. */
export interface AgentArgs {
  /**
   * The namespace that the agent is installed in. It must exist and allow privileged pods, and it is part of the
   * installation's name: a change installs anew. Default: `kube-system`.
   */
  namespace?: pulumi.Input<string>;
  /**
   * The agent's image as `repository[:tag][@sha256:digest]`; without a tag, that of this package's version.
   * Default: `magic-ip-address-agent:<version>`. Example: `registry.example:5000/infra/magic-ip-address-agent:0.1.0`
   */
  image?: pulumi.Input<string>;
  /** When nodes pull the image. Default: `IfNotPresent`. */
  imagePullPolicy?: pulumi.Input<ImagePullPolicy>;
  /** Names of Secrets with registry credentials, in the agent's namespace. Default: none. Example: `["my-registry"]` */
  imagePullSecrets?: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * Seconds, 1–86400, between two full lists of the target pods: the safety net behind the watch that normally brings
   * every change at once. Default: `1800`.
   */
  pollInterval?: pulumi.Input<number>;
  /** Whether the agent logs what it looks at, not only what it changes. Default: `false`. */
  verbose?: pulumi.Input<boolean>;
  /**
   * Port of the agent's health endpoints on the node's loopback. Default: one of 61000–64999, derived from namespace and
   * name. Example: `61500`
   */
  healthPort?: pulumi.Input<number>;
  /**
   * What puts the rules into the kernel: `nftables`, `iptables`, or `auto`, which takes nftables where it works and else
   * iptables. A node that has nothing but iptables-legacy needs `iptables`, which gives the agent the capability NET_RAW and
   * the iptables lock besides NET_ADMIN. Default: `auto`.
   */
  backend?: pulumi.Input<Backend>;
  /** Whether the nodes' own processes and pods on the host network are clients too. Default: `true`. */
  hostClients?: pulumi.Input<boolean>;
  /**
   * Whether packets to a magic IP that come from outside the node are dropped: without that, any host that can route them to
   * a node reaches its targets. Default: `true`.
   */
  outsideGuard?: pulumi.Input<boolean>;
  /**
   * For which clients the target sees the node's address instead of the client's: `auto`, only where the client would
   * otherwise get no answer; `always`, all of them. Default: `auto`.
   */
  masquerade?: pulumi.Input<Masquerade>;
  /**
   * Blocks that every magic IP must lie in one of, for whoever installs addresses that others choose. Default: none, and so
   * every address is allowed. Example: `["169.254.210.0/24", "fd00:210::/32"]`
   */
  allowedCidrs?: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * Whether the agent removes the taint `magic-ip-address/agent-not-ready` from its node when the addresses work there. New
   * nodes that register with that taint get no pods before. Needs Kubernetes 1.30, and rights on nodes that an admission
   * policy holds to this one taint of the agent's own node. Default: `false`.
   */
  startupTaint?: pulumi.Input<boolean>;
  /** Which taints the agent tolerates. Default: all. Example: `[{ key: "dedicated", operator: "Exists" }]` */
  tolerations?: pulumi.Input<pulumi.Input<TolerationArgs>[]>;
  /** Labels of the nodes that get an agent, besides `kubernetes.io/os: linux`. Default: none. Example: `{ pool: "apps" }` */
  nodeSelector?: pulumi.Input<{ [label: string]: pulumi.Input<string> }>;
  /** Priority of the agent's pods. Default: `system-node-critical`, the last to be evicted. */
  priorityClassName?: pulumi.Input<string>;
  /** Requests and limits of the agent. Default: requests 10m CPU and 64Mi memory, limit 160Mi memory. */
  resources?: pulumi.Input<ResourcesArgs>;
  /** Annotations of the agent's pods. Default: none. Example: `{ "example.com/team": "observability" }` */
  podAnnotations?: pulumi.Input<{ [annotation: string]: pulumi.Input<string> }>;
}

/** A taint that the agent tolerates, as in a pod's `tolerations`. */
export interface TolerationArgs {
  /** The taint's key. Default: every key, with operator `Exists`. Example: `dedicated` */
  key?: pulumi.Input<string>;
  /** `Exists` or `Equal`. Default: `Equal`. */
  operator?: pulumi.Input<string>;
  /** The taint's value, with operator `Equal`. Example: `gpu` */
  value?: pulumi.Input<string>;
  /** `NoSchedule`, `PreferNoSchedule` or `NoExecute`. Default: every effect. */
  effect?: pulumi.Input<string>;
  /** How long a `NoExecute` taint is tolerated. Default: forever. Example: `300` */
  tolerationSeconds?: pulumi.Input<number>;
}

/** Compute resources, as in a container's `resources`. */
export interface ResourcesArgs {
  /** What a node must have free. Example: `{ cpu: "10m", memory: "64Mi" }` */
  requests?: pulumi.Input<{ [resource: string]: pulumi.Input<string> }>;
  /** What the agent may use at most. Example: `{ memory: "160Mi" }` */
  limits?: pulumi.Input<{ [resource: string]: pulumi.Input<string> }>;
}
