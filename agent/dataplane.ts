import type { Finding, Scope, Survey } from "./doctor.ts";

export function dataPlaneFindings(_: Scope, { interfaces }: Survey): Finding[] {
  const has = (pattern: RegExp) => interfaces.filter((name) => pattern.test(name));
  const cilium = has(/^(cilium_host|cilium_net)$/);
  const calico = has(/^bpf(in|out)\.cali$/);
  const found: Finding[] = [];
  if (cilium.length > 0) {
    found.push({
      code: "CILIUM",
      severity: "warn",
      message: `Cilium runs on this node (${cilium.join(", ")}): with eBPF host routing, its default where it masquerades in eBPF too, pods' packets pass netfilter by and never reach a magic IP`,
      remedy:
        "cilium-dbg status in a Cilium pod says Routing: Host: BPF or Legacy; for BPF set Cilium's Helm value bpf.hostLegacyRouting=true, or use a CiliumLocalRedirectPolicy instead of a magic IP",
    });
  }
  if (calico.length > 0) {
    found.push({
      code: "CALICO_EBPF",
      severity: "warn",
      message: `Calico's eBPF data plane runs on this node (${calico.join(", ")}): pods' packets may pass netfilter by and never reach a magic IP`,
      remedy:
        'set linuxDataplane to "Iptables" or "Nftables" in Calico\'s Installation resource (and let kube-proxy run again), or try a magic IP from a pod before relying on it',
    });
  }
  return found;
}
