import { describe, expect, it } from "vitest";
import { desired } from "../../agent/desired.ts";
import type { Pod } from "../../agent/pod.ts";
import { address, config, pod } from "./state.ts";

const chosen = (pods: Pod[], of = config()) =>
  desired(of, "node-1", pods).bindings.map(({ target }) => target?.name);
const problems = (pods: Pod[], of = config()) =>
  desired(of, "node-1", pods).problems.map(({ message }) => message);
const live = (pods: Pod[], of = config()) => desired(of, "node-1", pods).live.map(({ podIp }) => podIp);

describe("which pod becomes the target", () => {
  it("is the ready one on this node that matches the selector in the namespace", () => {
    const others = [
      pod("other-node", { nodeName: "node-2" }),
      pod("other-namespace", { namespace: "default" }),
      pod("other-label", { labels: { app: "web" } }),
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
    const b = pod("b", { uid: "2" });
    expect(chosen([a, b])).toEqual(chosen([b, a]));
    expect(chosen([a, b])[0]).toBe("b");
  });

  it("is an older pod that stays rather than a newer one that terminates", () => {
    const staying = pod("staying");
    const leaving = pod("leaving", { created: "2026-11-01T11:00:00Z", terminating: true });
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
    ["on the host network", { hostNetwork: true }],
  ])("is never a pod that is %s", (_why, changes) => {
    expect(chosen([pod("x", changes)])).toEqual([undefined, undefined]);
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
    expect(desired(named, "node-1", [pod("x", { namedPorts: ports })]).bindings[0]?.target?.port).toBe(8126);
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

  it("names each pod that matches and what keeps it from serving", () => {
    expect(problems([pod("a", { ready: false }), pod("b", { phase: "Pending" })])[1]).toBe(
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
