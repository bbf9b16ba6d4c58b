import { describe, expect, it } from "vitest";
import {
  judge,
  type Link,
  type Network,
  outsideLinks,
  parseNetwork,
  type PodRoute,
} from "../../agent/desired/network.ts";

let nextIndex = 10;

function link(name: string, kind: string, changes: Partial<Link> = {}): Link {
  return { index: nextIndex++, name, kind, master: 0, peer: 0, elsewhere: false, ...changes };
}

const ways = (widest: number, host = false) => ({ widest, host });
/** A veth whose other end is in a pod, or in another host. */
const veth = (name: string, changes: Partial<Link> = {}) =>
  link(name, "veth", { elsewhere: true, ...changes });
const eth0 = () => link("eth0", "", { ipv4: ways(0) });

function network(links: Link[], pods: Omit<PodRoute, "type">[] = []): Network {
  return { links, pods: pods.map((pod) => ({ ...pod, type: "unicast" })), diversions: [] };
}

const outside = (of: Network, before?: ReturnType<typeof judge>) =>
  outsideLinks(of, judge(of, before)).map(({ name }) => name);

describe("no pod's interface is outside with", () => {
  const host = { ipv4: ways(32, true) };
  const layouts: [cni: string, links: Link[]][] = [
    ["the bridge plugin, Flannel, kube-router", [link("cni0", "bridge", { ipv4: ways(24) }), veth("veth1")]],
    ["the ptp plugin, kindnet, GKE: the gateway's address on each veth", [veth("veth1", host)]],
    ["Calico, AWS VPC CNI, Azure CNI: a route for each veth", [veth("cali1", host), veth("eni1", host)]],
    [
      "Cilium with veths, whose routes lead by cilium_host",
      [link("cilium_host", "veth", { peer: 9, ipv4: ways(24) }), veth("lxc1"), veth("lxc2")],
    ],
    ["Cilium with netkit", [link("lxc1", "netkit", { elsewhere: true })]],
    ["Antrea, OVN-Kubernetes, Kube-OVN", [link("antrea-gw0", "openvswitch", { ipv4: ways(24) })]],
    ["pods that have /30 networks of their own", [veth("p1", { ipv4: ways(30, true) })]],
    [
      "a pods' bridge with an overlay's port",
      [link("br-pods", "bridge", { index: 3, ipv4: ways(16) }), link("vxlan1", "vxlan", { master: 3 })],
    ],
    ["IPv6 only", [link("cni0", "bridge", { ipv6: ways(64) }), veth("veth1", { ipv6: ways(128, true) })]],
  ];

  it.each(layouts)("%s", (_cni, links) => {
    expect(outside(network([eth0(), ...links]))).toEqual(["eth0"]);
  });
});

describe("outside is", () => {
  it("the veth that is a kind node's uplink, and those to its other networks", () => {
    const links = [
      veth("eth0", { ipv4: ways(0) }),
      veth("eth1", { ipv4: ways(16) }),
      veth("eth2", { ipv6: ways(64) }),
    ];
    expect(outside(network(links))).toEqual(["eth0", "eth1", "eth2"]);
  });

  it("a bridge with a physical port, or a VLAN's or a bond's", () => {
    const bridges = ["", "vlan", "bond"].flatMap((kind) => {
      const bridge = link(`br-${kind}`, "bridge", { ipv4: ways(24) });
      return [bridge, link(`port-${kind}`, kind, { master: bridge.index })];
    });
    expect(outside(network(bridges))).toEqual(["br-", "br-bond", "br-vlan"]);
  });

  it("what has a default route, halves of one, or 2000::/3", () => {
    const links = [
      link("wg0", "wireguard", { ipv4: ways(1) }),
      link("ovs0", "openvswitch", { ipv4: ways(0) }),
      link("br0", "bridge", { ipv6: ways(3) }),
    ];
    expect(outside(network(links))).toEqual(["br0", "ovs0", "wg0"]);
  });

  it("a bridge with IPv6's default route on a node without IPv4's", () => {
    expect(outside(network([link("br0", "bridge", { ipv4: ways(24), ipv6: ways(0) })]))).toEqual(["br0"]);
  });

  it("the uplink that macvlan pods share, although a route to them leads by it", () => {
    const uplink = veth("eth0", { ipv4: ways(0) });
    expect(outside(network([uplink], [{ pod: "172.18.0.9", link: uplink.index, bits: 16 }]))).toEqual([
      "eth0",
    ]);
  });
});

describe("an IPv6 default route by a pods' bridge", () => {
  const cni0 = link("cni0", "bridge", { ipv4: ways(24), ipv6: ways(0) });

  it("keeps none of its pods out, whether one of them is a target or not", () => {
    expect(outside(network([eth0(), cni0]))).toEqual(["eth0"]);
    expect(outside(network([eth0(), cni0], [{ pod: "10.9.0.7", link: cni0.index, bits: 24 }]))).toEqual([
      "eth0",
    ]);
  });

  it("is believed of a bridge that leads to other machines", () => {
    const port = link("eth1", "", { master: cni0.index });
    expect(outside(network([eth0(), cni0, port]))).toEqual(["cni0", "eth0"]);
  });
});

describe("a judgement", () => {
  const azure0 = link("azure0", "bridge", { ipv4: ways(0) });
  const pods = [{ pod: "10.240.0.7", link: azure0.index, bits: 16 }];

  it("is inside for what leads to a live pod, whatever else it leads to, and stays so without the pod", () => {
    const known = judge(network([azure0], pods), judge(network([azure0])));
    expect(outside(network([azure0]), known)).toEqual([]);
  });

  it("stays outside without the default route, and goes with the link", () => {
    const without = { ...azure0, ipv4: ways(24) };
    const known = judge(network([azure0]));
    expect(outside(network([without]), known)).toEqual(["azure0"]);
    expect(outside(network([without]), judge(network([]), known))).toEqual([]);
  });

  it("is not made by a route to a pod that is the default route", () => {
    const lost = [{ pod: "10.240.0.7", link: azure0.index, bits: 0 }];
    expect(outside(network([azure0], lost))).toEqual(["azure0"]);
  });
});

it("the program's lines are read, and names of any bytes shown", () => {
  const lines = [
    '{"link":1,"name":"lo","kind":"","master":0,"peer":0,"elsewhere":false}',
    '{"link":5,"name":"\\u00c3\\u00a4\\u0001\\u00ff\\"","kind":"bridge","master":0,"peer":0,"elsewhere":false,"ipv4":{"widest":24,"host":false}}',
    '{"pod":"10.9.0.7","type":1,"link":5,"bits":24}',
    '{"pod":"192.0.2.10","type":2,"link":1,"bits":32}',
    '{"pod":"10.9.0.8","error":"ENETUNREACH"}',
    '{"pod":"10.9.0.9","type":7,"link":0,"bits":32}',
    '{"rule":"cni0","priority":10,"table":101,"pod":"10.9.0.7","link":2}',
    '{"left":12}',
  ];
  expect(parseNetwork(`${lines.join("\n")}\n`)).toMatchObject({
    links: [
      { index: 1, name: "lo" },
      { index: 5, name: 'ä??"', kind: "bridge", ipv4: { widest: 24 } },
    ],
    pods: [{ type: "unicast" }, { type: "local" }, { type: "none" }, { type: "none" }],
    diversions: [{ interface: "cni0", priority: 10, table: 101, pod: "10.9.0.7", link: 2 }],
  });
});
