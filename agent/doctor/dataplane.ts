import type { Cilium, Scope, Survey } from "./scope.ts";
import type { Finding } from "../finding.ts";
import { ofFamily } from "./switches.ts";

/** Data planes that bypass netfilter. */
export function dataPlaneFindings(scope: Scope, survey: Survey): Finding[] {
  return [...ciliumFindings(scope, survey), ...calicoFindings(survey), ...openVswitchFindings(survey)];
}

/** `serves`: as measured; `likely`: the node looks like one that served with masquerade when it was measured. */
type Verdict = "serves" | "likely" | "passes by";

/**
 * Measured with Cilium 1.18.6, calls of TCP and UDP from pods: without the replacement all are answered; with it and
 * eBPF host routing none reaches a rule; with it and legacy host routing answers bypass netfilter unless masqueraded.
 */
function verdict(cilium: Cilium, family: "ipv4" | "ipv6", masquerade: Scope["masquerade"]): Verdict {
  const { replacesKubeProxy, masquerades, forwards } = cilium;
  if (masquerades[family] && !replacesKubeProxy) return "serves";
  if (masquerade === "always" && (masquerades[family] || forwards || !replacesKubeProxy)) return "likely";
  return "passes by";
}

function ciliumFindings(scope: Scope, { cilium }: Survey): Finding[] {
  if (cilium === undefined) return [];
  if (cilium === "unknown") return [unknownFinding];
  const families = { ipv4: ofFamily(scope, "ip"), ipv6: ofFamily(scope, "ip6") };
  const of = (wanted: Verdict) =>
    (["ipv4", "ipv6"] as const)
      .filter((family) => verdict(cilium, family, scope.masquerade) === wanted)
      .flatMap((family) => families[family]);
  const [serves, likely, passesBy] = [of("serves"), of("likely"), of("passes by")];
  const found: Finding[] = [];
  if (serves.length > 0)
    found.push({
      code: "CILIUM",
      severity: "info",
      message: `Cilium runs on this node: targets of ${serves.join(", ")} see an address of the node instead of the client's`,
      remedy: "nothing has to be done where targets do not need the client's address",
    });
  if (likely.length > 0)
    found.push({
      code: "CILIUM",
      severity: "warn",
      message: `Cilium runs on this node: pods reach ${likely.join(", ")} with masquerade "always" as long as its host routing is the legacy one, which its rules here speak for`,
      remedy:
        "make sure that cilium-dbg status in a Cilium pod says Routing: Host: Legacy (Helm value bpf.hostLegacyRouting=true), and call a magic IP from a pod",
    });
  if (passesBy.length > 0) found.push(passesByFinding(passesBy, cilium));
  return found;
}

const unknownFinding: Finding = {
  code: "CILIUM",
  severity: "warn",
  message:
    "Cilium runs on this node, and its rules could not be read: with its kube-proxy replacement no pod reaches a magic IP",
  remedy:
    "cilium-dbg status in a Cilium pod tells KubeProxyReplacement; call a magic IP from a pod before relying on it",
};

function passesByFinding(ips: string[], { replacesKubeProxy }: Cilium): Finding {
  const cause = replacesKubeProxy
    ? "replaces kube-proxy on this node (no other rules for Services are there)"
    : "runs on this node and does not masquerade with iptables";
  return {
    code: replacesKubeProxy ? "CILIUM_REPLACES_KUBE_PROXY" : "CILIUM_PASSES_BY",
    severity: "fail",
    message: `Cilium ${cause}: its eBPF programs take pods' packets to ${ips.join(", ")}, or the answers, past netfilter, and calls time out`,
    remedy:
      "Cilium's Helm value bpf.hostLegacyRouting=true and masquerade: always for the magic IPs (targets then see an address of the node instead of the client's), or kubeProxyReplacement=false with kube-proxy",
  };
}

function calicoFindings({ interfaces }: Survey): Finding[] {
  const names = interfaces.filter((name) => /^bpf(in|out)\.cali$/.test(name));
  if (names.length === 0) return [];
  return [
    {
      code: "CALICO_EBPF",
      severity: "fail",
      message: `Calico's eBPF data plane runs on this node (${names.join(", ")}): its programs take pods' packets past netfilter, and they do not reach a magic IP`,
      remedy:
        'set linuxDataplane to "Iptables" or "Nftables" in Calico\'s Installation resource, and let kube-proxy run again',
    },
  ];
}

/** Data planes in Open vSwitch, which may or may not send packets that are not for pods to the host. None was tried. */
const switches: [RegExp, name: string, doubt: string][] = [
  [
    /^ovn-k8s-mp\d+$/,
    "OVN-Kubernetes",
    "with routingViaHost: false, its default, pods' packets leave the node past netfilter",
  ],
  [/^antrea-gw\d+$/, "Antrea", "a magic IP was not tried with it"],
];

function openVswitchFindings({ interfaces }: Survey): Finding[] {
  return switches.flatMap(([pattern, name, doubt]): Finding[] => {
    const link = interfaces.find((one) => pattern.test(one));
    if (link === undefined) return [];
    return [
      {
        code: "OPEN_VSWITCH",
        severity: "warn",
        message: `${name} runs on this node (${link}): pods' packets go through Open vSwitch, and ${doubt}`,
        remedy: "call a magic IP from a pod before relying on it (helm test does)",
      },
    ];
  });
}
