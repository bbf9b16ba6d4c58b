import type { Scope, Survey, ToolState } from "./scope.ts";
import type { Finding } from "../finding.ts";

export function nftFindings({ backend }: Scope, { nft, iptables }: Survey): Finding[] {
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

export function nftFault(
  { fault, message, lacking = [] }: Fault,
  consequence: string,
): Omit<Finding, "severity"> {
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

export function conntrackFindings({ backend }: Scope, { conntrack, nft }: Survey): Finding[] {
  if (conntrack.works) return [];
  // The one missing capability is reported once.
  if (lacksPermission(conntrack)) return lacksPermission(nft) ? [] : [noNetAdmin];
  const consequence =
    "clients that keep a UDP flow reach a new target only when the flow times out (30 s of silence)";
  if (conntrack.fault !== "MISSING")
    return [
      {
        code: "CONNTRACK_UNUSABLE",
        severity: "warn",
        message: `${conntrack.message}: ${consequence}`,
        remedy: "modprobe nf_conntrack_netlink on the node",
      },
    ];
  const ofNftables = nft.works && backend !== "iptables";
  return [
    {
      code: "NETLINK_MISSING",
      severity: ofNftables ? "fail" : "warn",
      message: `magic-ip-netlink is not installed: ${ofNftables ? "the rules of nftables cannot be looked at or changed" : consequence}`,
      remedy: "take the release's image, or build agent/Dockerfile",
    },
  ];
}
