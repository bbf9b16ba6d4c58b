import { dataPlaneFindings } from "./dataplane.ts";
import type { Scope, Survey } from "./scope.ts";
import type { Finding } from "../finding.ts";
import { interceptingFindings, policyFindings, untrackedFindings } from "./firewall.ts";
import { reachFindings } from "./reach.ts";
import {
  conntrackTableFindings,
  forwardingFindings,
  hairpinFindings,
  hiddenClientFindings,
  noRouteFindings,
} from "./switches.ts";
import { takenFindings } from "./taken.ts";
import { conntrackFindings, nftFindings } from "./tools.ts";

/** One check of the node. */
interface Check {
  code: string;
  /** What holds if there are no findings. */
  fine: string;
  /** It judges other programs' rules, which may be unreadable. */
  ofRules?: true;
  findings(scope: Scope, survey: Survey): Finding[];
}

/** In the order of the report. */
export const checks: Check[] = [
  { code: "NFT", fine: "nft puts the rules into this kernel", findings: nftFindings },
  { code: "CONNTRACK", fine: "conntrack can end stale flows", findings: conntrackFindings },
  { code: "CONNTRACK_TABLE", fine: "there is room for new connections", findings: conntrackTableFindings },
  { code: "FORWARDING", fine: "the node forwards packets", findings: forwardingFindings },
  { code: "BRIDGE_NETFILTER", fine: "targets see each client's own address", findings: hiddenClientFindings },
  { code: "HAIRPIN", fine: "a target can dial its own magic IP", findings: hairpinFindings },
  {
    code: "ROUTE",
    fine: "the node's own processes find a route to every magic IP",
    findings: noRouteFindings,
  },
  {
    code: "REACH",
    fine: "pods of this node are reached by interfaces of their own",
    findings: reachFindings,
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
  {
    code: "EARLY_RULES",
    fine: "no rule takes a magic IP's packets before they are translated",
    ofRules: true,
    findings: interceptingFindings,
  },
  { code: "ADDRESSES", fine: "nobody else has a magic IP", ofRules: true, findings: addressFindings },
  { code: "RULES", fine: "others' rules can be read", ofRules: true, findings: unreadableFindings },
];

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
