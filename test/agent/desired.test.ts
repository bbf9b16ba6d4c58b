import { describe, expect, it } from "vitest";
import { desired } from "../../agent/desired/desired.ts";
import { bindingName, type Claim } from "../../agent/desired/state.ts";
import type { Pod } from "../../agent/kubernetes/pod.ts";
import { node } from "./node-facts.ts";
import { address, config, pod } from "./state.ts";

const chosen = (pods: Pod[], of = config()) =>
  desired(of, node, pods).bindings.map(
    ({ targets }) => targets.map(({ name }) => name).join(" ") || undefined,
  );
const problems = (pods: Pod[], of = config()) =>
  desired(of, node, pods).problems.map(({ message }) => message);
const live = (pods: Pod[], of = config()) => desired(of, node, pods).live.map(({ podIp }) => podIp);

describe("which pod becomes the target", () => {
  it("is the ready one on this node that matches the selector in the namespace", () => {
    const others = [
      pod("other-node", { nodeName: "node-2" }),
      pod("other-namespace", { namespace: "default", ips: ["10.244.1.8"] }),
      pod("other-label", { labels: { app: "web" }, ips: ["10.244.1.9"] }),
    ];
    expect(chosen([...others, pod("mine")])).toEqual(["mine", "mine"]);
    expect(chosen(others)).toEqual([undefined, undefined]);
  });

  it("is the newest of several ready ones, whatever their order", () => {
    const old = pod("old", { created: "2026-11-01T10:00:00Z" });
    const young = pod("young", { created: "2026-11-01T10:00:01Z", ips: ["10.244.1.8"] });
    expect(chosen([old, young])).toEqual(["young", "young"]);
    expect(chosen([young, old])).toEqual(["young", "young"]);
  });

  it("is the one with the greater uid when they are equally old, so that a relist never moves it", () => {
    const a = pod("a", { uid: "1" });
    const b = pod("b", { uid: "2", ips: ["10.244.1.8"] });
    expect(chosen([a, b])).toEqual(chosen([b, a]));
    expect(chosen([a, b])[0]).toBe("b");
  });

  it("is an older pod that stays rather than a newer one that terminates", () => {
    const staying = pod("staying");
    const leaving = pod("leaving", {
      ...{ created: "2026-11-01T11:00:00Z", ips: ["10.244.1.8"] },
      terminating: true,
    });
    expect(chosen([staying, leaving])[0]).toBe("staying");
  });

  it("is a terminating pod that is still ready when there is no other (KEP-1669)", () => {
    expect(chosen([pod("draining", { terminating: true })])[0]).toBe("draining");
    expect(chosen([pod("dead", { terminating: true, ready: false })])[0]).toBeUndefined();
  });

  it.each([
    ["Pending", { phase: "Pending" }],
    ["Succeeded", { phase: "Succeeded" }],
    ["Failed", { phase: "Failed" }],
    ["not ready", { ready: false }],
    ["without an IP", { ips: [] }],
    ["with an IPv6 address only", { ips: ["fd00::7"] }],
    ["claiming a loopback address", { ips: ["127.0.0.1"] }],
    ["claiming a link-local address", { ips: ["169.254.169.254"] }],
    ["on the host network", { hostNetwork: true }],
  ])("is never a pod that is %s", (_why, changes) => {
    expect(chosen([pod("x", changes)])).toEqual([undefined, undefined]);
  });

  it("is not one that claims a magic IP for its own", () => {
    const addresses = [address({ ipAddress: "10.200.0.1" }), address({ ipAddress: "10.200.0.2" })];
    const { bindings, live } = desired(config({ addresses }), node, [pod("a", { ips: ["10.200.0.2"] })]);
    expect([bindings.flatMap(({ targets }) => targets), live]).toEqual([[], []]);
  });

  it("is not one whose IP a newer pod has by now, ready or not", () => {
    const old = pod("old", { terminating: true });
    const young = pod("young", { created: "2026-11-02T00:00:00Z", ready: false });
    const state = desired(config(), node, [old, young]);
    expect(state.bindings.flatMap(({ targets }) => targets)).toEqual([]);
    expect(state.live).toEqual([{ ipAddress: "169.254.210.210", podIp: "10.244.1.7" }]);
    const over = desired(config(), node, [old, { ...young, phase: "Succeeded" }]);
    expect(over.bindings[0]?.targets).toMatchObject([{ uid: "uid-old" }]);
  });

  it("may be on the host network where the address allows it", () => {
    const allowing = config({ addresses: [address({ hostNetworkTargets: true })] });
    expect(chosen([pod("x", { hostNetwork: true })], allowing)[0]).toBe("x");
  });

  it("listens on its named port, of the right protocol", () => {
    const named = config({
      addresses: [address({ ports: [{ port: 8126, targetPort: "apm" }] })],
    });
    const ports = [
      { name: "apm", protocol: "udp", port: 1 },
      { name: "apm", protocol: "tcp", port: 8126 },
    ];
    expect(desired(named, node, [pod("x", { namedPorts: ports })]).bindings[0]?.targets[0]?.port).toBe(8126);
    expect(problems([pod("x")], named)).toEqual([
      "169.254.210.210:8126/tcp has no target on this node: monitoring/x has no tcp container port named apm",
    ]);
  });
});

describe("without a target the problem says why", () => {
  it("names the selector when nothing matches", () => {
    expect(problems([])[0]).toBe(
      "169.254.210.210:80/tcp has no target on this node: no pod in monitoring matches app=echo",
    );
  });

  it("names no more than three pods, and no more of a pod than 100 characters", () => {
    const many = Array.from({ length: 1_000 }, (_, index) => pod(`p${index}`, { ready: false }));
    expect(problems(many)[0]).toMatch(/p2 [a-zA-Z0-9 ]+, and 997 more$/);
    const long = many.map((each) => ({ ...each, name: "x".repeat(253) }));
    expect(problems(long)[0]?.length).toBeLessThan(500);
  });

  it("names each pod that matches and what keeps it from serving", () => {
    expect(problems([pod("a", { ready: false }), pod("b", { phase: "Pending", ips: [] })])[1]).toBe(
      "169.254.210.210:80/udp has no target on this node: monitoring/a is not ready, monitoring/b is Pending",
    );
  });
});

describe("the live set", () => {
  it("keeps pods that can finish what they have: draining, unready, superseded", () => {
    const pods = [
      pod("new", { created: "2026-11-02T00:00:00Z", ips: ["10.244.1.1"] }),
      pod("old", { ips: ["10.244.1.2"] }),
      pod("draining", { terminating: true, ips: ["10.244.1.3"] }),
      pod("unready", { ready: false, ips: ["10.244.1.4"] }),
    ];
    expect(live(pods)).toEqual(["10.244.1.1", "10.244.1.2", "10.244.1.3", "10.244.1.4"]);
  });

  it("never has a pod that ended: its IP may be another pod's by now", () => {
    expect(live([pod("a", { phase: "Succeeded" }), pod("b", { phase: "Failed" })])).toEqual([]);
  });
});

describe("an address with", () => {
  const dual = config({ addresses: [address({ ipv6Address: "fd00:210::210", ports: [{ port: 80 }] })] });

  it("two families leads each to the pod's IP of that family", () => {
    const { bindings, problems } = desired(dual, node, [pod("a", { ips: ["10.244.1.7", "FD00:0:0::7"] })]);
    expect(bindings.map(({ ipAddress, targets }) => [ipAddress, targets[0]?.ip])).toEqual([
      ["169.254.210.210", "10.244.1.7"],
      ["fd00:210::210", "fd00::7"],
    ]);
    expect(problems).toEqual([]);
  });

  it("two families serves the one that the cluster has, and says what is missing of the other", () => {
    expect(chosen([pod("a")], dual)).toEqual(["a", undefined]);
    expect(problems([pod("a")], dual)).toEqual([
      "[fd00:210::210]:80/tcp has no target on this node: monitoring/a has no usable IPv6 address",
    ]);
  });

  it("two families serves IPv6 alone on a cluster that has nothing else", () => {
    const pods = [pod("a", { ips: ["fd00:9::7"] })];
    expect(chosen(pods, dual)).toEqual([undefined, "a"]);
    expect(problems(pods, dual)[0]).toContain("monitoring/a has no usable IPv4 address");
  });

  it.each(["fe80::1", "::1", "::ffff:10.0.0.1", "ff02::1", "nonsense"])(
    "an IPv6 magic IP is never led to %s",
    (ip) => {
      expect(chosen([pod("a", { ips: ["10.244.1.7", ip] })], dual)[1]).toBeUndefined();
    },
  );

  it("loadBalance leads to all ready pods, the newest first, and to draining ones only when there is no ready one", () => {
    const spread = config({ addresses: [address({ loadBalance: true, ports: [{ port: 80 }] })] });
    const pods = [
      pod("a", { ips: ["10.244.1.1"] }),
      pod("b", { ips: ["10.244.1.2"], created: "2026-11-02T00:00:00Z" }),
      pod("draining", { ips: ["10.244.1.3"], terminating: true }),
      pod("unready", { ips: ["10.244.1.4"], ready: false }),
    ];
    expect(chosen(pods, spread)).toEqual(["b a"]);
    expect(chosen(pods.slice(2), spread)).toEqual(["draining"]);
  });

  it("no ports is a whole IP, and a range keeps the port that was dialed", () => {
    const wide = config({
      addresses: [
        address({ ports: [] }),
        address({ ipAddress: "169.254.210.211", ports: [{ port: 8000, endPort: 8010 }] }),
      ],
    });
    const { bindings } = desired(wide, node, [pod("a")]);
    expect(bindings.map(bindingName)).toEqual(["169.254.210.210", "169.254.210.211:8000-8010/tcp"]);
    expect(bindings.map(({ targets }) => targets[0]?.port)).toEqual([undefined, undefined]);
  });
});

describe("what another installation of the node has", () => {
  const claim = {
    instance: "other",
    ipAddress: "169.254.210.210",
    protocol: "tcp",
    port: 80,
    endPort: 80,
  } as const;
  const claimed = (claims: Claim[]) => desired(config(), node, [pod("a")], claims);

  it("is left to it, with a problem that names it", () => {
    const { bindings, problems } = claimed([claim]);
    expect(bindings.map(bindingName)).toEqual(["169.254.210.210:80/udp"]);
    expect(problems).toMatchObject([{ code: "CONFLICT", binding: "169.254.210.210:80/tcp" }]);
    expect(problems[0]?.message).toContain("belongs to the installation other on this node");
  });

  it("is a port within its range, and every port of its whole IP", () => {
    expect(claimed([{ ...claim, port: 1, endPort: 100 }]).bindings).toHaveLength(1);
    expect(claimed([{ ...claim, protocol: undefined, port: 0, endPort: 65535 }])).toMatchObject({
      bindings: [],
      live: [],
    });
  });

  it("is not the same port of another protocol or IP", () => {
    expect(
      claimed([
        { ...claim, protocol: "sctp" },
        { ...claim, ipAddress: "169.254.210.9" },
      ]).bindings,
    ).toHaveLength(2);
  });
});

it("what stays as it was stays the same object, so that a change costs what changed", () => {
  const two = config({
    addresses: [address(), address({ ipAddress: "169.254.210.211", selector: "app=web" })],
  });
  const echo = pod("a");
  const before = desired(two, node, [echo, pod("b", { labels: { app: "web" }, ips: ["10.244.1.8"] })]);
  const after = desired(two, node, [echo, pod("c", { labels: { app: "web" }, ips: ["10.244.1.9"] })]);
  expect(after.bindings.map((binding, index) => binding === before.bindings[index])).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
