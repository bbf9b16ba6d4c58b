import { describe, expect, it } from "vitest";
import { findings } from "../../agent/doctor/doctor.ts";
import type { Survey } from "../../agent/doctor/scope.ts";
import type { Link, Network, PodRoute } from "../../agent/desired/network.ts";
import { servingIps } from "../../agent/doctor/reach.ts";
import { survey } from "./survey.ts";
import { config, pod } from "./state.ts";

const link = (index: number, name: string, kind: string, changes: Partial<Link> = {}): Link => ({
  ...{ index, name, kind, master: 0, peer: 0, elsewhere: false },
  ...changes,
});
const eth0 = link(1, "eth0", "", { ipv4: { widest: 0, host: false } });
const cni0 = link(2, "cni0", "bridge", { ipv4: { widest: 24, host: false } });
const on = (link: number, bits = 24): PodRoute => ({ pod: "10.9.0.7", type: "unicast", link, bits });

function codes(
  network: Partial<Network>,
  changes: Parameters<typeof config>[0] = {},
  on: Partial<Survey> = {},
) {
  const whole = { links: [eth0, cni0], pods: [], diversions: [], ...network };
  return findings(config(changes), survey({ network: whole, ...on })).map(
    ({ severity, code }) => `${severity} ${code}`,
  );
}

describe("pods that serve are", () => {
  it("found on the pods' bridge, on the host network, or in a family that is not dialed", () => {
    const local: PodRoute = { pod: "192.0.2.10", type: "local", link: 9, bits: 32 };
    const ipv6: PodRoute = { pod: "fd00:9::7", type: "none", link: 0, bits: 0 };
    expect(codes({ pods: [on(2), local, ipv6] })).toEqual([]);
  });

  it("not reached behind an uplink, which is a warning where the guard is off", () => {
    expect(codes({ pods: [on(1)] })).toEqual(["fail TARGET_BEHIND_UPLINK"]);
    expect(codes({ pods: [on(1)] }, { outsideGuard: false })).toEqual(["warn TARGET_BEHIND_UPLINK"]);
  });

  it("reached from a bridge whose port the gateway is, where all are masqueraded and bridges bypass netfilter", () => {
    const gateway = link(3, "gw", "veth", { peer: 4, ipv4: { widest: 24, host: false } });
    const links = [eth0, cni0, gateway, link(4, "gwport", "veth", { peer: 3, master: 2 })];
    const off = { bridgeNetfilter: { ipv4: false, ipv6: false } };
    const behind = "fail TARGET_BEHIND_BRIDGE_PORT";
    expect(codes({ links, pods: [on(3)] })).toEqual([behind]);
    const hidden = "info CLIENTS_HIDDEN";
    expect(codes({ links, pods: [on(3)] }, { masquerade: "always" })).toEqual([behind, hidden]);
    expect(codes({ links, pods: [on(3)] }, { masquerade: "always" }, off)).toEqual([hidden]);
    // Cilium's cilium_host is a pair of veths too, and no port.
    expect(codes({ links: [gateway, link(4, "net", "veth", { peer: 3 })], pods: [on(3)] })).toEqual([]);
  });
});

it("a bridge that leads to pods and to other machines is told, for the guard lets both in", () => {
  const links = [eth0, cni0, link(3, "eth1", "", { master: 2 })];
  expect(codes({ links, pods: [on(2)] })).toEqual(["warn PODS_BESIDE_OUTSIDE"]);
  expect(codes({ links, pods: [on(2)] }, { outsideGuard: false })).toEqual([]);
});

it("a node that cannot be looked at is not called fine", () => {
  expect(codes({}, {}, { network: undefined })).toEqual(["info LINKS_UNREADABLE"]);
});

it("only pods that serve on this node are asked for", () => {
  const others = [
    pod("b", { ready: false, ips: ["10.9.0.2"] }),
    pod("c", { terminating: true, ips: ["10.9.0.3"] }),
    pod("d", { hostNetwork: true, ips: ["192.0.2.10"] }),
    pod("e", { nodeName: "node-2", ips: ["10.9.1.2"] }),
  ];
  expect(servingIps([pod("a", { ips: ["10.9.0.1", "fd00:9::1"] }), ...others], "node-1")).toEqual([
    "10.9.0.1",
    "fd00:9::1",
  ]);
});
