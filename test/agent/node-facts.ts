import type { NodeFacts } from "../../agent/desired/node.ts";

/** The node of the tests: one uplink, and bridges whose packets pass netfilter. */
export const node: NodeFacts = {
  name: "node-1",
  uplinks: ["uplink"],
  bridgeNetfilter: { ipv4: true, ipv6: true },
};
