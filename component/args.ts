import type * as pulumi from "@pulumi/pulumi";
import { WhenNoTarget } from "./address/address";
import { Protocol } from "./address/ports";

// The types are interfaces of scalars, lists, maps and `as const` enums only: Pulumi's schema has neither unions nor
// aliases of objects, and every Pulumi language must be able to use the component.

export { Protocol, WhenNoTarget };

/** One magic IP: which address, which pods it leads to, on which ports. */
export interface Address {
  /**
   * The magic IP: a unicast IPv4 or IPv6 address that nothing else on a node claims. Take a link-local IPv4 or a
   * unique local IPv6 one (`fd00::/8`); those of clouds and add-ons, as 169.254.169.254, and fe80::/10 are refused.
   * Example: `169.254.210.210`
   */
  ipAddress: pulumi.Input<string>;
  /**
   * A second magic IP for the same targets and ports: an IPv6 address beside an IPv4 one in `ipAddress`, for clients of
   * either family. Default: none. Example: `fd00:210::210`
   */
  ipv6Address?: pulumi.Input<string>;
  /** Label selector of the target pods, in the syntax of `kubectl -l`, without `>` and `<`. Example: `app=dd-agent` */
  selector: pulumi.Input<string>;
  /** The namespace of the target pods. Default: `default`. Example: `monitoring` */
  namespace?: pulumi.Input<string>;
  /**
   * The ports that clients dial. Default: none, and so the whole IP: every port of every protocol, and ping, as if the
   * address were the target's own. Example: `[{ port: 8126 }, { port: 8125, protocol: "UDP" }]`
   */
  ports?: pulumi.Input<pulumi.Input<Port>[]>;
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
export interface Port {
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
