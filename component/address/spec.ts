import type { PortSpec } from "./ports";

/** One magic IP with its selector and ports. */
export interface AddressSpec {
  /** The magic IP: a unicast IPv4 or IPv6 address that nothing else on the node claims. */
  ipAddress: string;
  /** A second magic IP for the same targets and ports: an IPv6 address beside the IPv4 one. Default: none. */
  ipv6Address?: string;
  /** The namespace in which targets are looked for. Default: `default`. */
  namespace?: string;
  /** Label selector of the targets, in the syntax of `kubectl -l`. */
  selector: string;
  /** Default: none, and so the whole IP, every protocol and port of it. */
  ports?: PortSpec[];
  /** Accept targets on the host network, whose port on the node's own IP any process may hold. Default: false. */
  hostNetworkTargets?: boolean;
  /** Spread new connections over all ready pods of the node instead of giving the newest all of them. Default: false. */
  loadBalance?: boolean;
  /** Default: Reject. */
  whenNoTarget?: string;
}
