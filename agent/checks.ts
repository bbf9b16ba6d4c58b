import type { DroppingChain, Finding, Scope, Survey, ToolState } from "./doctor.ts";
import { isDefault, routesTo } from "./node.ts";
import { takenFindings } from "./taken.ts";
import { extentOf } from "./untracked.ts";

/** One question to the node. */
interface Check {
  code: string;
  /** What holds when it finds nothing. */
  fine: string;
  /** It judges others' rules, which may be unreadable. */
  ofRules?: true;
  findings(scope: Scope, survey: Survey): Finding[];
}

/** In the order in which they are told. */
export const checks: Check[] = [
  { code: "NFT", fine: "nft puts the rules into this kernel", findings: nftFindings },
  { code: "CONNTRACK", fine: "conntrack can end stale flows", findings: conntrackFindings },
  { code: "CONNTRACK_TABLE", fine: "there is room for new connections", findings: conntrackTableFindings },
  { code: "FORWARDING", fine: "the node forwards packets", findings: forwardingFindings },
  { code: "BRIDGE_NETFILTER", fine: "targets see each client's own address", findings: bridgeFindings },
  {
    code: "ROUTE",
    fine: "the node's own processes find a route to every magic IP",
    findings: noRouteFindings,
  },
  {
    code: "DATA_PLANE",
    fine: "no eBPF data plane that passes netfilter by is in sight",
    findings: dataPlaneFindings,
  },
  {
    code: "FORWARD_POLICY",
    fine: "no firewall drops what is forwarded",
    ofRules: true,
    findings: policyFindings,
  },
  {
    code: "NOTRACK",
    fine: "no rule keeps conntrack from a magic IP",
    ofRules: true,
    findings: untrackedFindings,
  },
  { code: "ADDRESSES", fine: "nobody else has a magic IP", ofRules: true, findings: addressFindings },
  { code: "RULES", fine: "others' rules can be read", ofRules: true, findings: unreadableFindings },
];

function nftFindings({ backend }: Scope, { nft, iptables }: Survey): Finding[] {
  const missing: Finding = {
    code: "IPTABLES_MISSING",
    severity: "fail",
    message:
      'the backend is "iptables", and neither iptables-nft nor iptables-legacy is in the agent\'s image',
    remedy: 'set backend to "auto", or install iptables in the image',
  };
  const ofIptables = backend === "iptables" && iptables.length === 0 ? [missing] : [];
  if (nft.works) return ofIptables;
  if (lacksPermission(nft)) return [noNetAdmin, ...ofIptables];
  const instead = backend === "auto" && iptables.length > 0;
  const severity = backend === "iptables" ? "info" : instead ? "warn" : "fail";
  const consequence = instead ? `; ${iptables.join(" or ")} is used instead` : "";
  return [{ severity, ...nftFault(nft, consequence) }, ...ofIptables];
}

const noNetAdmin: Finding = {
  code: "NET_ADMIN_MISSING",
  severity: "fail",
  message: "the agent may not change the node's network: it lacks the capability NET_ADMIN",
  remedy:
    'run it with hostNetwork: true and securityContext.capabilities.add: ["NET_ADMIN"], as the chart does; by hand: as root',
};

type Fault = Extract<ToolState, { works: false }>;

function nftFault({ fault, message, lacking = [] }: Fault, consequence: string): Omit<Finding, "severity"> {
  if (fault === "MISSING") {
    return {
      code: "NFT_MISSING",
      message: `nft is not installed${consequence}`,
      remedy: "use the agent's own image, or install the package nftables where the agent runs",
    };
  }
  if (lacksTables(message)) {
    return {
      code: "NF_TABLES_MISSING",
      message: `this node's kernel has no nf_tables${consequence}`,
      remedy:
        "modprobe nf_tables on the node, or take a kernel with CONFIG_NF_TABLES (5.13 or newer has all that is used)",
    };
  }
  const what = lacking.length === 0 ? message : `this node's kernel does not know ${lacking.join(", ")}`;
  const modules = "modprobe -a nft_chain_nat nft_nat nft_masq nft_ct nft_fib_inet nft_reject_inet nft_numgen";
  return {
    code: "NFT_UNUSABLE",
    message: `nft cannot load the rules of a magic IP: ${what}${consequence}`,
    remedy:
      lacking.length === 0 ? "run it by hand on the node: nft list tables" : `load its modules: ${modules}`,
  };
}

function lacksPermission(tool: ToolState): boolean {
  return !tool.works && /not permitted|permission denied|must be root/i.test(tool.message);
}

function lacksTables(message: string): boolean {
  return /lacks nf_tables|cache initialization failed|protocol not supported/i.test(message);
}

function conntrackFindings(_: Scope, { conntrack, nft }: Survey): Finding[] {
  if (conntrack.works) return [];
  // The one missing capability is told once.
  if (lacksPermission(conntrack)) return lacksPermission(nft) ? [] : [noNetAdmin];
  const missing = conntrack.fault === "MISSING";
  return [
    {
      code: missing ? "CONNTRACK_MISSING" : "CONNTRACK_UNUSABLE",
      severity: "warn",
      message: `${missing ? "conntrack is not installed" : conntrack.message}: clients that keep a UDP flow reach a new target only when the flow times out (30 s of silence)`,
      remedy: missing
        ? "use the agent's own image, or install the package conntrack where the agent runs"
        : "run it by hand on the node: conntrack -C",
    },
  ];
}

function conntrackTableFindings(_: Scope, { conntrackTable }: Survey): Finding[] {
  if (conntrackTable === undefined) return [];
  const { count, maximum } = conntrackTable;
  if (maximum === 0 || count <= maximum * 0.9) return [];
  return [
    {
      code: "CONNTRACK_TABLE_FULL",
      severity: "warn",
      message: `the node remembers ${count} of at most ${maximum} connections: new ones, also to a magic IP, are dropped when it is full`,
      remedy: `sysctl -w net.netfilter.nf_conntrack_max=${maximum * 2} on the node (kube-proxy sets it: --conntrack-max-per-core)`,
    },
  ];
}

function forwardingFindings(scope: Scope, { forwarding, ipv6 }: Survey): Finding[] {
  const off = (code: string, severity: Finding["severity"], message: string, sysctl: string): Finding => ({
    code,
    severity,
    message,
    remedy: `sysctl -w ${sysctl} on the node, and a file in /etc/sysctl.d with ${sysctl}`,
  });
  const [ipv4Ips, ipv6Ips] = [ofFamily(scope, "ip"), ofFamily(scope, "ip6")];
  const found: Finding[] = [];
  if (ipv4Ips.length > 0 && !forwarding.ipv4) {
    const message = `the node forwards no IPv4 packets (net.ipv4.ip_forward is 0): pods' connections to ${ipv4Ips.join(", ")} time out`;
    found.push(off("FORWARDING_OFF", "fail", message, "net.ipv4.ip_forward=1"));
  }
  const severity = scope.needsIpv6 ? "fail" : "warn";
  if (ipv6Ips.length > 0 && !ipv6) {
    const message = `IPv6 is switched off on this node, and ${ipv6Ips.join(", ")} is configured`;
    const remedy =
      "leave ipv6Address out on clusters without IPv6, or sysctl -w net.ipv6.conf.all.disable_ipv6=0 on the node";
    found.push({ code: "IPV6_OFF", severity, message, remedy });
  } else if (ipv6Ips.length > 0 && !forwarding.ipv6) {
    const message = `the node forwards no IPv6 packets (net.ipv6.conf.all.forwarding is 0): pods' connections to ${ipv6Ips.join(", ")} time out`;
    found.push(off("IPV6_FORWARDING_OFF", severity, message, "net.ipv6.conf.all.forwarding=1"));
  }
  return found;
}

function bridgeFindings(scope: Scope, { bridgeNetfilter }: Survey): Finding[] {
  if (scope.masquerade === "always") return [];
  const sysctls = [
    ...(bridgeNetfilter.ipv4 || ofFamily(scope, "ip").length === 0
      ? []
      : ["net.bridge.bridge-nf-call-iptables"]),
    ...(bridgeNetfilter.ipv6 || ofFamily(scope, "ip6").length === 0
      ? []
      : ["net.bridge.bridge-nf-call-ip6tables"]),
  ];
  if (sysctls.length === 0) return [];
  return [
    {
      code: "BRIDGE_NETFILTER_OFF",
      severity: "info",
      message: `${sysctls.join(" and ")} is 0: where client and target are pods of one bridge, the target sees the bridge's address instead of the client's`,
      remedy: `to keep the client's address: modprobe br_netfilter and sysctl -w ${sysctls.map((name) => `${name}=1`).join(" ")} on the node`,
    },
  ];
}

function noRouteFindings({ dialed, hostClients }: Scope, { routes }: Survey): Finding[] {
  if (!hostClients) return [];
  const without = dialed.filter(
    ({ ipAddress }) =>
      !routesTo(ipAddress, routes).some((route) => isDefault(route) || route.kind !== "reject"),
  );
  return without.map(({ ipAddress }) => {
    const family = ipAddress.includes(":") ? "ipv6" : "ipv4";
    const interfaces = routes.filter(({ kind, block, range }) => {
      return kind === "unicast" && block.family === family && !range.startsWith("fe80:");
    });
    const device =
      interfaces.find(({ interface: name }) => name !== undefined && name !== "lo")?.interface ?? "INTERFACE";
    const add = `${family === "ipv6" ? "ip -6" : "ip"} route add ${ipAddress}/${family === "ipv6" ? 128 : 32} dev ${device}`;
    return {
      code: "NO_ROUTE",
      severity: "warn",
      message: `the node has no default route, nor one to ${ipAddress}: its own processes and hostNetwork pods get ENETUNREACH; pods are not affected`,
      remedy: `${add} on the node; any interface that is up and has an address does, nothing leaves by it`,
    };
  });
}

function dataPlaneFindings(_: Scope, { interfaces }: Survey): Finding[] {
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

function policyFindings(scope: Scope, { dropping }: Survey): Finding[] {
  return dropping.flatMap((chain) => {
    const ips = ofFamily(scope, chain.family).filter(
      (ip) => chain.accepted !== "all" && !chain.accepted.includes(ip),
    );
    if (ips.length === 0) return [];
    const owner = chain.owner === undefined ? "" : ` (${chain.owner})`;
    const where =
      chain.tool === "nft"
        ? `the chain ${chain.chain} of the table ${chain.family} ${chain.table}`
        : `the chain ${chain.chain} of ${chain.tool}, family ${chain.family}, table ${chain.table},`;
    return [
      {
        code: "FORWARD_POLICY_DROP",
        severity: "warn",
        message: `${where}${owner} drops what it does not accept, and an accept elsewhere does not help: pods' connections to ${ips.join(", ")} time out unless a rule of it lets pods reach pods`,
        remedy: `${ips.map((ip) => acceptance(chain, ip)).join("; ")}; the same belongs where that firewall keeps its rules`,
      },
    ];
  });
}

function acceptance({ tool, family, table, chain }: DroppingChain, ip: string): string {
  const ipv6 = ip.includes(":");
  if (tool === "nft")
    return `nft insert rule ${family} ${table} ${chain} ct original ${ipv6 ? "ip6" : "ip"} daddr ${ip} accept`;
  const command = ipv6 ? tool.replace("iptables", "ip6tables") : tool;
  return `${command} -I ${chain} -m conntrack --ctorigdst ${ip} -j ACCEPT`;
}

function untrackedFindings({ dialed }: Scope, { untracked }: Survey): Finding[] {
  return untracked.flatMap((rule) => {
    const hit = dialed.filter((one) => extentOf(rule, one) !== "none");
    if (hit.length === 0) return [];
    const all = hit.some((one) => extentOf(rule, one) === "all");
    const ips = hit.map(({ ipAddress }) => ipAddress).join(", ");
    return [
      {
        code: "NOTRACK",
        severity: all ? "fail" : "warn",
        message: `the rule "${rule.text}" in the chain ${rule.chain} of the table ${rule.table} exempts ${all ? "" : "some of "}what is sent to ${ips} from conntrack: it cannot be translated, and times out`,
        remedy: `take the rule away, or let it spare ${ips} (NodeLocal DNSCache and Cilium's installNoConntrackIptablesRules add such rules)`,
      },
    ];
  });
}

function addressFindings({ dialed }: Scope, survey: Survey): Finding[] {
  return dialed.flatMap(({ ipAddress }) => takenFindings(ipAddress, survey));
}

function unreadableFindings(_: Scope, { unreadable = [] }: Survey): Finding[] {
  return unreadable.map((message) => ({
    code: "RULES_UNREADABLE",
    severity: "info",
    message: `could not be read: ${message}`,
    remedy: "look at these rules on the node yourself, with its own nft or iptables-save",
  }));
}

/** The magic IPs that packets of a table's family can have. */
function ofFamily({ dialed }: Scope, family: DroppingChain["family"]): string[] {
  const ips = dialed.map(({ ipAddress }) => ipAddress);
  return family === "inet" ? ips : ips.filter((ip) => ip.includes(":") === (family === "ip6"));
}
