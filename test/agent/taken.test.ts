import { describe, expect, it } from "vitest";
import type { Survey } from "../../agent/doctor/scope.ts";
import { parseIpv4Addresses, parseIpv4Routes } from "../../agent/desired/node.ts";
import { takenFindings } from "../../agent/doctor/taken.ts";

const magicIp = "169.254.210.210";

/** Codes of what is found for it on a node with these routes (interface, destination, mask in /proc/net/route). */
function codes(lines: string[], changes: Partial<Survey> = {}, ip = magicIp): string[] {
  const text = lines.map((line) => {
    const [name, destination, mask] = line.split(" ");
    return `\n${name} ${destination} 00000000 0001 0 0 0 ${mask} 0 0 0`;
  });
  const survey = {
    routes: parseIpv4Routes(text.join(""), true),
    addresses: [],
    services: [],
    interfaces: [],
    ...changes,
  };
  return takenFindings(ip, survey as unknown as Survey).map(({ severity, code }) => `${severity} ${code}`);
}

const byDefault = "eth0 00000000 00000000";
const subnet = "eth0 000200C0 00FFFFFF";

describe("a magic IP", () => {
  it("that only the default route leads to is free", () => {
    expect(codes([byDefault, subnet])).toEqual([]);
  });

  it("is free where the node has it in the link-local route of every interface, and that is told", () => {
    expect(codes([byDefault, "eth0 0000FEA9 0000FFFF"])).toEqual(["info ADDRESS_IN_LINK_LOCAL_ROUTE"]);
  });

  it("is free where that route is by a bridge that OVN-Kubernetes' is called as, on a node without its pods", () => {
    const routes = [byDefault, "br-ex 0000FEA9 0000FFFF"];
    expect(codes(routes)).toEqual(["info ADDRESS_IN_LINK_LOCAL_ROUTE"]);
    expect(codes([...routes, "ovn-k8s-mp0 0001F40A 00FFFFFF"])).toEqual(["fail ADDRESS_OF_OVN_KUBERNETES"]);
  });

  it("is taken where a narrower route leads to it", () => {
    expect(codes([byDefault, "eth0 0000FEA9 0000FFFF", "cni0 00D2FEA9 00FFFFFF"])).toEqual([
      "fail ADDRESS_IN_ROUTE",
    ]);
  });

  it("is free where a route was made for it, by an interface with more than it", () => {
    expect(codes([subnet, "eth0 D2D2FEA9 FFFFFFFF"])).toEqual([]);
  });

  it("is taken where the route is one to a pod, by an interface that leads to nothing else", () => {
    expect(codes([byDefault, "cali1 D2D2FEA9 FFFFFFFF"])).toEqual(["fail ADDRESS_IN_ROUTE"]);
  });

  it("is taken where it is nobody's yet, in the blackhole of the node's block of pod addresses", () => {
    expect(codes([byDefault, "* 00D2FEA9 00FFFFFF"])).toEqual(["fail ADDRESS_IN_ROUTE"]);
  });

  it("is taken by the node and by a Service at once, and its route is then no news", () => {
    const addresses = parseIpv4Addresses(`     |-- ${magicIp}\n        /32 host LOCAL\n`);
    const services = [{ ipAddress: magicIp, service: undefined, external: false }];
    expect(codes(["cni0 00D2FEA9 00FFFFFF"], { addresses, services })).toEqual([
      "fail ADDRESS_OF_SERVICE",
      "fail ADDRESS_OF_NODE",
    ]);
  });

  it("that a Service of any user has as external IP stays ready, and that is told", () => {
    const services = [{ ipAddress: magicIp, service: "shop/cart", external: true }];
    expect(codes([byDefault], { services })).toEqual(["warn ADDRESS_OF_SERVICE"]);
  });
});

describe("a magic IP in OVN-Kubernetes' masquerade subnet (P4)", () => {
  const masquerade = (name: string) => `${name} 0000FEA9 0080FFFF`;
  const inside = "169.254.10.10";

  it.each(["br-ex", "breth0", "brens3", "ovn-k8s-mp0"])("is refused on a node that has it by %s", (name) => {
    expect(codes([byDefault, masquerade(name)], {}, inside)).toEqual(["fail ADDRESS_OF_OVN_KUBERNETES"]);
  });

  it("is free on other nodes, and where the subnet is another, as 169.254.169.0/29", () => {
    expect(codes([byDefault, subnet], {}, inside)).toEqual([]);
    expect(codes([byDefault, "br-ex 00A9FEA9 F8FFFFFF"], {}, inside)).toEqual([]);
    expect(codes([byDefault, masquerade("br-ex")])).toEqual([]);
  });

  it("says whose the subnet is, and what would be right", () => {
    const routes = parseIpv4Routes(
      `\n${masquerade("br-ex").replace(" 0080", " 00000000 0001 0 0 0 0080")} 0 0 0`,
      true,
    );
    const [finding] = takenFindings(inside, {
      addresses: [],
      services: [],
      interfaces: [],
      routes,
    } as unknown as Survey);
    expect(finding?.message).toBe(
      "169.254.10.10 lies in 169.254.0.0/17, the masquerade subnet that OVN-Kubernetes has on this node (br-ex): it takes addresses of it for itself",
    );
    expect(finding?.remedy).toContain("as one of 169.254.210.0/24");
  });

  it("is told by the other sentence where the bridge leads to the nodes' own network", () => {
    expect(codes(["br-ex 0000000A 000000FF"], {}, "10.1.2.3")).toEqual(["fail ADDRESS_IN_ROUTE"]);
  });
});

describe("a magic IP that may be another's, as far as nobody can tell on the node (P4)", () => {
  it.each([
    ["8.8.8.8", "10.96.0.1", ["warn ADDRESS_PUBLIC"]],
    ["2606:4700::1111", "10.96.0.1", ["warn ADDRESS_PUBLIC"]],
    ["10.97.0.1", "10.96.0.1", ["warn ADDRESS_IN_SERVICE_RANGE"]],
    ["10.112.0.1", "10.96.0.1", []],
    ["10.96.1.1", "10.96.0.129", []],
    ["fd00:10:96::5", "fd00:10:96::1", ["warn ADDRESS_IN_SERVICE_RANGE"]],
    ["34.118.224.9", "34.118.224.1", ["warn ADDRESS_PUBLIC", "warn ADDRESS_IN_SERVICE_RANGE"]],
    ["10.97.0.1", "api.example", []],
    ["10.97.0.1", undefined, []],
    [magicIp, "10.96.0.1", []],
  ])("%s, of a cluster whose API server has the Service IP %s: %j", (ip, serviceHost, found) => {
    expect(codes([byDefault], { serviceHost }, ip)).toEqual(found);
  });
});
