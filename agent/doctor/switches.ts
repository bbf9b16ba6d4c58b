import { type DroppingChain } from "./dropping.ts";
import type { Scope, Survey } from "./scope.ts";
import type { Finding } from "../finding.ts";
import { isDefault, routesTo, uplinks } from "../desired/node.ts";

export function conntrackTableFindings(_: Scope, { conntrackTable }: Survey): Finding[] {
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

export function forwardingFindings(scope: Scope, survey: Survey): Finding[] {
  const { forwarding, ipv6, notForwarding } = survey;
  const off = (code: string, severity: Finding["severity"], message: string, sysctl: string): Finding => ({
    code,
    severity,
    message,
    remedy: `sysctl -w ${sysctl} on the node, and a file in /etc/sysctl.d with ${sysctl}`,
  });
  const [ipv4Ips, ipv6Ips] = [ofFamily(scope, "ip"), ofFamily(scope, "ip6")];
  const serves = { ipv4: forwarding.ipv4, ipv6: ipv6 && forwarding.ipv6 };
  // An address with a magic IP of each family is still served by the other family.
  const severity = {
    ipv4: scope.needs.ipv4 || !serves.ipv6 ? "fail" : "warn",
    ipv6: scope.needs.ipv6 || !serves.ipv4 ? "fail" : "warn",
  } as const;
  const found: Finding[] = [];
  if (ipv4Ips.length > 0 && !forwarding.ipv4) {
    const message = `the node forwards no IPv4 packets (net.ipv4.ip_forward is 0): pods' connections to ${ipv4Ips.join(", ")} time out`;
    found.push(off("FORWARDING_OFF", severity.ipv4, message, "net.ipv4.ip_forward=1"));
  } else if (ipv4Ips.length > 0 && notForwarding.length > 0) {
    found.push(notForwardingFinding(ipv4Ips, survey));
  }
  if (ipv6Ips.length > 0 && !ipv6) {
    const message = `IPv6 is switched off on this node, and ${ipv6Ips.join(", ")} is configured`;
    const remedy =
      "leave ipv6Address out on clusters without IPv6, or sysctl -w net.ipv6.conf.all.disable_ipv6=0 on the node";
    found.push({ code: "IPV6_OFF", severity: severity.ipv6, message, remedy });
  } else if (ipv6Ips.length > 0 && !forwarding.ipv6) {
    const message = `the node forwards no IPv6 packets (net.ipv6.conf.all.forwarding is 0): pods' connections to ${ipv6Ips.join(", ")} time out`;
    found.push(off("IPV6_FORWARDING_OFF", severity.ipv6, message, "net.ipv6.conf.all.forwarding=1"));
  }
  return found;
}

function notForwardingFinding(ips: string[], { notForwarding, routes }: Survey): Finding {
  const outside = new Set([undefined, "lo", ...uplinks(routes)]);
  const inside = routes.filter(
    ({ block, kind, interface: name }) => block.family === "ipv4" && kind === "unicast" && !outside.has(name),
  );
  const all = inside.every(({ interface: name }) => notForwarding.includes(name ?? ""));
  return {
    code: "INTERFACE_FORWARDING_OFF",
    severity: all ? "fail" : "warn",
    message: `the node forwards no IPv4 packets that come in by ${enumerated(notForwarding)}: connections of the pods behind to ${ips.join(", ")} time out`,
    remedy: `${notForwarding
      .slice(0, shown)
      .map((name) => `sysctl -w net.ipv4.conf.${name.replaceAll(".", "/")}.forwarding=1`)
      .join("; ")} on the node, and so where it was switched off`,
  };
}

/** Names that a message lists at most. */
const shown = 5;

function enumerated(names: string[]): string {
  const more = names.length > shown ? ` and ${names.length - shown} more` : "";
  return `${names.slice(0, shown).join(", ")}${more}`;
}

/** Where targets, and NetworkPolicies that are enforced at their interfaces, see the node instead of the client. */
export function hiddenClientFindings(scope: Scope, survey: Survey): Finding[] {
  if (scope.masquerade !== "always") return bridgeFindings(scope, survey);
  return [
    {
      code: "CLIENTS_HIDDEN",
      severity: "info",
      message: `masquerade is always: targets see the node's address instead of the client's, and a NetworkPolicy that is enforced at the target's interface takes every client for the node`,
      remedy:
        "masquerade: auto, where it serves, hides no clients but those on the target's bridge where br_netfilter is off (SECURITY.md, NetworkPolicies)",
    },
  ];
}

function bridgeFindings(scope: Scope, { bridgeNetfilter }: Survey): Finding[] {
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
      message: `${sysctls.join(" and ")} is 0: where client and target are pods of one bridge, the target sees the bridge's address instead of the client's, and a NetworkPolicy that is enforced at the target's interface takes the client for the node`,
      remedy: `to keep the client's address: modprobe br_netfilter and sysctl -w ${sysctls.map((name) => `${name}=1`).join(" ")} on the node`,
    },
  ];
}

/** With br_netfilter a bridge sends no packet back to the port it came from, unless the port's hairpin mode is on. */
export function hairpinFindings(scope: Scope, { hairpinOff, bridgeNetfilter, routes }: Survey): Finding[] {
  const ips = [
    ...(bridgeNetfilter.ipv4 ? ofFamily(scope, "ip") : []),
    ...(bridgeNetfilter.ipv6 ? ofFamily(scope, "ip6") : []),
  ];
  const outside = uplinks(routes);
  const bridges = hairpinOff.filter(({ bridge }) => bridge !== "" && !outside.includes(bridge));
  if (ips.length === 0 || bridges.length === 0) return [];
  return bridges.map(({ bridge, ports }) => ({
    code: "HAIRPIN_OFF",
    severity: "info",
    message: `${ports.length} ${ports.length === 1 ? "port" : "ports"} of the bridge ${bridge} (${enumerated(ports)}) have the hairpin mode off: a target behind that dials ${ips.join(", ")} itself times out; other clients are served`,
    remedy: `"hairpinMode": true in the CNI plugin's configuration for pods to come; for these: ${ports
      .slice(0, shown)
      .map((port) => `bridge link set dev ${port} hairpin on`)
      .join("; ")}`,
  }));
}

export function noRouteFindings({ dialed, hostClients }: Scope, { routes }: Survey): Finding[] {
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

/** The magic IPs that packets in a table of this family can have. */
export function ofFamily({ dialed }: Scope, family: DroppingChain["family"]): string[] {
  const ips = dialed.map(({ ipAddress }) => ipAddress);
  return family === "inet" ? ips : ips.filter((ip) => ip.includes(":") === (family === "ip6"));
}
