import type { Finding, Survey } from "./doctor.ts";
import { isDefault, type Route, routesTo } from "./node.ts";

/** An address that kube-proxy translates: a Service's ClusterIP, external IP or load balancer's IP. */
export interface ServiceAddress {
  ipAddress: string;
  /** `namespace/name`, where kube-proxy's rules tell it. */
  service: string | undefined;
  /**
   * Whether it may be an external IP: whoever may create a Service in any namespace can give it one
   * (CVE-2020-8554), while a ClusterIP comes from the cluster's range.
   */
  external: boolean;
}

const another = "choose another magic IP, as one of 169.254.210.0/24 that nothing on the nodes uses";

/** Who else on the node has a magic IP already, so that one of the two would not get its packets. */
export function takenFindings(ipAddress: string, survey: Survey): Finding[] {
  const services = serviceFindings(ipAddress, survey);
  const own = nodeAddressFindings(ipAddress, survey);
  const taken = [...services, ...own];
  return taken.length > 0 ? taken : routeFindings(ipAddress, survey.routes);
}

function serviceFindings(ipAddress: string, { services }: Survey): Finding[] {
  const found = services.filter((address) => address.ipAddress === ipAddress);
  if (found.length === 0) return [];
  const names = [...new Set(found.flatMap(({ service }) => service ?? []))];
  // Our rules come before kube-proxy's, so that it is the Service that may get no packets. Somebody who made one must not
  // make the node's addresses unready with it.
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

function nodeAddressFindings(ipAddress: string, { addresses, routes, interfaces }: Survey): Finding[] {
  const [found] = routesTo(
    ipAddress,
    [...addresses, ...routes].filter(({ kind }) => kind === "local"),
  );
  if (found === undefined) return [];
  const where = found.interface === undefined ? "" : ` (${found.interface})`;
  const ipvs = interfaces.includes("kube-ipvs0") ? "; on kube-ipvs0 it is a Service's" : "";
  return [
    {
      code: "ADDRESS_OF_NODE",
      severity: "fail",
      message: `${ipAddress} is an address of this node itself${where}`,
      remedy: `${another}, or take it off the node: ip address show to ${ipAddress} names the interface${ipvs}`,
    },
  ];
}

/** RFC 3927 §2.6.2; NetworkManager and others add it to every interface, and it keeps nothing from being translated. */
const zeroconf = "169.254.0.0/16";

function routeFindings(ipAddress: string, routes: Route[]): Finding[] {
  const [route] = routesTo(ipAddress, routes);
  if (route === undefined || route.bits <= 1 || isDefault(route) || isRouteForIt(route, routes)) return [];
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
 * Whether somebody added the route so that the node's own processes can dial the magic IP (the remedy for NO_ROUTE). A
 * CNI's route to a pod looks the same but for its interface, which leads to nothing else.
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
