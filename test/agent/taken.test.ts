import { describe, expect, it } from "vitest";
import type { Survey } from "../../agent/doctor.ts";
import { parseIpv4Addresses, parseIpv4Routes } from "../../agent/node.ts";
import { takenFindings } from "../../agent/taken.ts";

const magicIp = "169.254.210.210";

/** Codes of what is found for it on a node with these routes (interface, destination, mask in /proc/net/route). */
function codes(lines: string[], changes: Partial<Survey> = {}): string[] {
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
  return takenFindings(magicIp, survey as unknown as Survey).map(
    ({ severity, code }) => `${severity} ${code}`,
  );
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
