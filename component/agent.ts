import type * as pulumi from "@pulumi/pulumi";

/** When nodes pull the agent's image. */
export const ImagePullPolicy = { Always: "Always", IfNotPresent: "IfNotPresent", Never: "Never" } as const;
export type ImagePullPolicy = (typeof ImagePullPolicy)[keyof typeof ImagePullPolicy];

/** What puts the rules into the nodes' kernels. */
export const Backend = { Auto: "auto", Nftables: "nftables", Iptables: "iptables" } as const;
export type Backend = (typeof Backend)[keyof typeof Backend];

/** For which clients targets see the node's address instead of the client's own. */
export const Masquerade = { Auto: "auto", Always: "always" } as const;
export type Masquerade = (typeof Masquerade)[keyof typeof Masquerade];

/** How the agent's pods are replaced when they change. */
export const UpdateStrategyType = { RollingUpdate: "RollingUpdate", OnDelete: "OnDelete" } as const;
export type UpdateStrategyType = (typeof UpdateStrategyType)[keyof typeof UpdateStrategyType];

/** The agent that runs on every node. All of it may be left out. */
export interface Agent {
  /**
   * The namespace that the agent is installed in. It must exist and allow privileged pods, and it is part of the
   * installation's name: a change installs anew. Default: `kube-system`.
   */
  namespace?: pulumi.Input<string>;
  /**
   * Whether the component makes the namespace, labelled so that it allows the agent's pods, and removes it with everything
   * in it at the end. For a namespace of the agent's own that does not exist yet. Default: `false`.
   */
  createNamespace?: pulumi.Input<boolean>;
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
   * Port, on every address of the node, at which Prometheus reads the agent's `/metrics`. Default: none, and so on the
   * node's loopback only. Example: `9810`
   */
  metricsPort?: pulumi.Input<number>;
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
  tolerations?: pulumi.Input<pulumi.Input<Toleration>[]>;
  /** Labels of the nodes that get an agent, besides `kubernetes.io/os: linux`. Default: none. Example: `{ pool: "apps" }` */
  nodeSelector?: pulumi.Input<{ [label: string]: pulumi.Input<string> }>;
  /** Priority of the agent's pods. Default: `system-node-critical`, the last to be evicted. */
  priorityClassName?: pulumi.Input<string>;
  /** Requests and limits of the agent. Default: requests 10m CPU and 64Mi memory, limit 160Mi memory. */
  resources?: pulumi.Input<Resources>;
  /** How the agent's pods are replaced when they change; rules serve on meanwhile. Default: 10% of the nodes at a time. */
  updateStrategy?: pulumi.Input<UpdateStrategy>;
  /** Labels of the agent's pods, beside the chart's own. Default: none. Example: `{ team: "observability" }` */
  podLabels?: pulumi.Input<{ [label: string]: pulumi.Input<string> }>;
  /** Annotations of the agent's pods. Default: none. Example: `{ "example.com/team": "observability" }` */
  podAnnotations?: pulumi.Input<{ [annotation: string]: pulumi.Input<string> }>;
}

/** A taint that the agent tolerates, as in a pod's `tolerations`. */
export interface Toleration {
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

/** How the agent's pods are replaced when they change, as in a DaemonSet's `updateStrategy`. */
export interface UpdateStrategy {
  /**
   * `RollingUpdate`, one node after the other, or `OnDelete`, when somebody deletes a pod. With `OnDelete` a node keeps its
   * agent and its configuration, also over a reboot, until then. Default: `RollingUpdate`.
   */
  type?: pulumi.Input<UpdateStrategyType>;
  /**
   * On how many nodes at once, a number or a share, as text (in TypeScript also a number); with `RollingUpdate` only.
   * Default: `10%`. Example: `1`
   */
  // Pulumi's schema has no unions: it takes the type `string` from the Input, and other languages see only that.
  maxUnavailable?: pulumi.Input<string> | number;
}

/** Compute resources, as in a container's `resources`. */
export interface Resources {
  /** What a node must have free. Example: `{ cpu: "10m", memory: "64Mi" }` */
  requests?: pulumi.Input<{ [resource: string]: pulumi.Input<string> }>;
  /** What the agent may use at most. Example: `{ memory: "160Mi" }` */
  limits?: pulumi.Input<{ [resource: string]: pulumi.Input<string> }>;
}
