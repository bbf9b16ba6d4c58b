import { cidrContains, parseCidr } from "../../component/address/cidr.ts";
import { parseIp } from "../../component/address/ip.ts";
import { isPublic } from "../../component/address/public.ts";
import { servicesAround } from "../../component/address/services.ts";
import type { Survey } from "./scope.ts";
import type { Finding } from "../finding.ts";
import { isDefault, type Route, routesTo } from "../desired/node.ts";

const another = "choose another magic IP, as one of 169.254.210.0/24 that nothing on the nodes uses";

/** Other uses of a magic IP on the node: either these or the magic IP would not get their packets. */
export function takenFindings(ipAddress: string, survey: Survey): Finding[] {
  const services = serviceFindings(ipAddress, survey);
  const own = nodeAddressFindings(ipAddress, survey);
  const taken = [...services, ...own];
  if (taken.length > 0) return taken;
  return [
    ...routeFindings(ipAddress, survey.routes),
    ...publicFindings(ipAddress),
    ...serviceRangeFindings(ipAddress, survey),
  ];
}

function serviceFindings(ipAddress: string, { services }: Survey): Finding[] {
  const found = services.filter((address) => address.ipAddress === ipAddress);
  if (found.length === 0) return [];
  const names = [...new Set(found.flatMap(({ service }) => service ?? []))];
  // Our rules come before kube-proxy's, so the Service may get no packets. External IPs are only a warning: a user who
  // creates a Service must not make the node's addresses unready with it.
  const severity = found.every(({ external }) => external) ? "warn" : "fail";
  return [
    {
      code: "ADDRESS_OF_SERVICE",
      severity,
      message: `${ipAddress} is an IP of ${names.length === 0 ? "a Service" : `the Service ${names.join(" and ")}`}: kube-proxy has rules for it`,
      remedy: `${another}; kubectl get services --all-namespaces | grep -F ${ipAddress} shows the Service`,
    },
  ];
}

/** The interface of kube-proxy's ipvs mode. */
export const ipvsInterface = "kube-ipvs0";

function nodeAddressFindings(ipAddress: string, { addresses, routes }: Survey): Finding[] {
  const [found] = routesTo(
    ipAddress,
    [...addresses, ...routes].filter(({ kind }) => kind === "local"),
  );
  if (found === undefined) return [];
  if (found.interface === ipvsInterface) return [ipvsFinding(ipAddress)];
  const where = found.interface === undefined ? "" : ` (${found.interface})`;
  return [
    {
      code: "ADDRESS_OF_NODE",
      severity: "fail",
      message: `${ipAddress} is an address of this node itself${where}`,
      remedy: `${another}, or take it off the node: ip address show to ${ipAddress} names the interface`,
    },
  ];
}

/**
 * In its ipvs mode kube-proxy gives this interface every IP of every Service, external ones too. A user who may create
 * a Service in any namespace chooses those (CVE-2020-8554), and must not make the node's addresses unready with them.
 */
function ipvsFinding(ipAddress: string): Finding {
  return {
    code: "ADDRESS_OF_SERVICE",
    severity: "warn",
    message: `${ipAddress} is an IP of a Service: kube-proxy, in its ipvs mode, has it on ${ipvsInterface}`,
    remedy: `${another}; kubectl get services --all-namespaces | grep -F ${ipAddress} shows the Service`,
  };
}

/** RFC 3927 §2.6.2. NetworkManager and others add it to every interface; it does not prevent the translation. */
const zeroconf = "169.254.0.0/16";

function routeFindings(ipAddress: string, routes: Route[]): Finding[] {
  const [route] = routesTo(ipAddress, routes);
  if (route === undefined || route.bits <= 1 || isDefault(route) || isRouteForIt(route, routes)) return [];
  // A bridge with an uplink's name need not be OVN-Kubernetes', and has the link-local route as other interfaces do.
  const isOvnNode = routes.some((other) => other.interface?.startsWith("ovn-k8s-mp"));
  if (isOfOvnKubernetes(route) && (isOvnNode || route.range !== zeroconf))
    return [ovnKubernetesFinding(ipAddress, route)];
  const by = route.interface === undefined || route.kind === "reject" ? "" : ` by ${route.interface}`;
  if (route.range === zeroconf) {
    const message = `${ipAddress} lies in the node's link-local route ${zeroconf}${by}, which does no harm`;
    return [
      { code: "ADDRESS_IN_LINK_LOCAL_ROUTE", severity: "info", message, remedy: "nothing has to be done" },
    ];
  }
  const what = route.kind === "reject" ? "the blackhole or unreachable route" : "the route";
  return [
    {
      code: "ADDRESS_IN_ROUTE",
      severity: "fail",
      message: `${ipAddress} lies in ${what} ${route.range}${by} of this node: a pod or another host may have it`,
      remedy: `${another}; ip route get ${ipAddress} shows where packets to it would go`,
    },
  ];
}

/**
 * Whether an administrator added the route so that the node's own processes can dial the magic IP (the remedy for
 * NO_ROUTE). A CNI's route to a pod looks the same, but its interface has no route to a subnet.
 */
function isRouteForIt(route: Route, routes: Route[]): boolean {
  const length = route.block.family === "ipv4" ? 32 : 128;
  if (route.bits < length || route.kind === "reject") return false;
  return routes.some(
    (other) =>
      other.interface === route.interface && other.block.family === route.block.family && isSubnet(other),
  );
}

function isSubnet({ bits, block, kind, range }: Route): boolean {
  return kind === "unicast" && bits < (block.family === "ipv4" ? 32 : 128) && !range.startsWith("fe80:");
}

/**
 * OVN-Kubernetes' gateway bridge and management port. It calls the bridge br-ex in OpenShift, else breth0 or by another uplink's
 * name (ovn-kubernetes go-controller/pkg/util/nicstobridge.go, GetBridgeName), and gives it an address of the masquerade
 * subnet, whose route is then by the bridge.
 */
const ovnKubernetes = /^(br-ex|br(eth|en|bond)\w+|ovn-k8s-mp\d+)$/;

/**
 * Where masquerade subnets are. OVN-Kubernetes' own defaults are 169.254.169.0/29 and fd69::/125
 * (go-controller/pkg/config/config.go, Gateway), those of its images and of OpenShift from 4.17 on 169.254.0.0/17 and
 * fd69::/112 (ovn-kubernetes#4599, openshift/cluster-network-operator#2460). Upgraded clusters keep theirs, and users
 * may set others, so the node's routes decide.
 */
const masqueradeSubnets = ["169.254.0.0/16", "fd69::/16"].flatMap((range) => parseCidr(range) ?? []);

function isOfOvnKubernetes({ interface: name = "", kind, block }: Route): boolean {
  const first = { family: block.family, value: block.first };
  return (
    kind === "unicast" &&
    ovnKubernetes.test(name) &&
    masqueradeSubnets.some((subnet) => cidrContains(subnet, first))
  );
}

function ovnKubernetesFinding(ipAddress: string, { range, interface: name }: Route): Finding {
  return {
    code: "ADDRESS_OF_OVN_KUBERNETES",
    severity: "fail",
    message: `${ipAddress} lies in ${range}, the masquerade subnet that OVN-Kubernetes has on this node (${name}): it takes addresses of it for itself`,
    remedy: `${another}, or give OVN-Kubernetes another subnet (gatewayConfig.ipv4.internalMasqueradeSubnet in OpenShift)`,
  };
}

function publicFindings(ipAddress: string): Finding[] {
  const ip = parseIp(ipAddress);
  if (ip === undefined || !isPublic(ip)) return [];
  return [
    {
      code: "ADDRESS_PUBLIC",
      severity: "warn",
      message: `${ipAddress} is a public address: who dials it on this node does not reach the host on the internet that has it`,
      remedy: another,
    },
  ];
}

/** KUBERNETES_SERVICE_HOST shows only where the range begins, so this is a warning, whatever the range really is. */
function serviceRangeFindings(ipAddress: string, { serviceHost = "" }: Survey): Finding[] {
  const ip = parseIp(ipAddress);
  const range = servicesAround(serviceHost);
  if (ip === undefined || range === undefined || !cidrContains(range, ip)) return [];
  return [
    {
      code: "ADDRESS_IN_SERVICE_RANGE",
      severity: "warn",
      message: `${ipAddress} may lie in the range of the cluster's Services, which begins before the API server's ${serviceHost}: a Service may get it`,
      remedy: `${another}; kubectl get servicecidrs (Kubernetes 1.33) or kube-apiserver's --service-cluster-ip-range shows the range`,
    },
  ];
}
