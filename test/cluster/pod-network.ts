import type { NodePlan, PodNetwork } from "./plan.ts";

/** The CNI configuration of a node: what happens when containerd makes a pod. */
export function podNetwork(kind: PodNetwork, { podCidr }: NodePlan) {
  const ipam = { type: "host-local", ranges: [[{ subnet: podCidr }]], routes: [{ dst: "0.0.0.0/0" }] };
  return { cniVersion: "1.0.0", name: "pods", plugins: [{ ...PLUGINS[kind], ipam }] };
}

const PLUGINS = {
  bridge: { type: "bridge", bridge: "cni0", isGateway: true, hairpinMode: true, ipMasq: false },
  routed: { type: "ptp", ipMasq: false },
} satisfies Record<PodNetwork, object>;
