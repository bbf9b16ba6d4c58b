import { describe, expect, it } from "vitest";
import { desired } from "../../agent/desired/desired.ts";
import type { DesiredState } from "../../agent/desired/state.ts";
import { changedIps, flowTable } from "../../agent/desired/flows.ts";
import type { Pod } from "../../agent/kubernetes/pod.ts";
import { node } from "./node-facts.ts";
import { address, config, pod } from "./state.ts";

const ip = "169.254.210.210";
const young = pod("new", { created: "2026-11-02T00:00:00Z", ips: ["10.244.1.8"] });
const draining = pod("draining", { terminating: true, ips: ["10.244.1.7"] });
const state = (pods: Pod[], ...addresses: object[]) =>
  desired(config(addresses.length === 0 ? {} : { addresses }), node, pods);
const table = (...states: DesiredState[]) => flowTable({ states });

describe("the flow table", () => {
  it("says where each port leads and which pods keep their connections, each list once", () => {
    expect(table(state([young, draining]))).toEqual([
      `ip ${ip}`,
      "pods",
      "pod 10.244.1.8",
      "pod 10.244.1.7",
      "targets",
      "target 10.244.1.8 8080",
      "own 6 80 80 none",
      "own 17 80 80 none",
    ]);
  });

  it("says of a whole IP and of a range that they lead to the port that is dialed", () => {
    const range = address({ selector: "app=web", ports: [{ port: 8000, endPort: 8010, protocol: "SCTP" }] });
    const web = pod("web", { labels: { app: "web" }, ips: ["10.244.1.9"] });
    expect(table(state([young, web], address({ ports: [] }), range))).toEqual([
      `ip ${ip}`,
      ...["pods", "pod 10.244.1.8", "targets", "target 10.244.1.8 0", "own any 0 65535 none"],
      ...["pods", "pod 10.244.1.9", "targets", "target 10.244.1.9 0", "own 132 8000 8010 none"],
    ]);
  });

  it("keeps a pod's connections through its own address only, of two with one IP", () => {
    const other = address({ selector: "app=web", ports: [{ port: 81 }] });
    const web = pod("web", { labels: { app: "web" }, ips: ["10.244.1.9"] });
    const lines = table(state([young, web], address(), other));
    expect(lines.slice(lines.lastIndexOf("pods"))).toEqual([
      ...["pods", "pod 10.244.1.9", "targets", "target 10.244.1.9 81", "own 6 81 81 none"],
    ]);
  });

  it("lets what the network answers pass, all of it until a target comes, then connections", () => {
    const passing = address({ whenNoTarget: "Pass" });
    expect(table(state([], passing))).toEqual([`ip ${ip}`, ...["pods", "targets"], ...own("all")]);
    expect(table(state([young], passing))).toEqual(expect.arrayContaining(own("connections")));
  });

  it("is of the magic IPs that are asked for", () => {
    const both = state([young], address(), address({ ipAddress: "169.254.210.211" }));
    const ips = flowTable({ states: [both] }, new Set([ip])).filter((line) => line.startsWith("ip "));
    expect(ips).toEqual([`ip ${ip}`]);
  });
});

describe("of two states, either of which the kernel may hold,", () => {
  it("what leads to a target of one of them stays, and what one of them has not got", () => {
    const only = address({ ports: [{ port: 80, targetPort: 8080 }] });
    const lines = table(state([draining], only), state([young], address({ whenNoTarget: "Pass" })));
    expect(lines).toEqual([
      `ip ${ip}`,
      ...["pods", "pod 10.244.1.7", "pod 10.244.1.8"],
      ...["targets", "target 10.244.1.7 8080", "target 10.244.1.8 8080", "own 6 80 80 connections"],
      ...["pods", "targets", "others 17 80 80"],
    ]);
  });
});

describe("what an earlier configuration had", () => {
  const own = state([young]);
  const gone = (...frontends: object[]) => {
    const rules = { frontends: frontends as DesiredState["bindings"], connections: false };
    const lines = flowTable({ states: [own], gone: rules, claims });
    return lines.filter((line) => /^(others|gone)/.test(line));
  };
  const claims = [
    { ipAddress: ip, protocol: "tcp" as const, port: 81, endPort: 81 },
    { ipAddress: "169.254.210.1", protocol: undefined, port: 0, endPort: 65_535 },
  ];

  it("needs no look where it is in the present one", () => {
    expect(gone(...own.bindings)).toEqual([]);
  });

  it("ends, and what others have on its IP is theirs", () => {
    const whole = { ipAddress: ip, protocol: undefined, port: 0, endPort: 65_535 };
    expect(gone(whole)).toEqual(["others 6 81 81", "gone any 0 65535 rest"]);
  });
});

describe("the magic IPs to look at after a change", () => {
  const two = (pods: Pod[], ...more: object[]) =>
    state(pods, address(), address({ ipAddress: "169.254.210.211", selector: "app=web" }), ...more);

  it("are those whose targets or live pods are others", () => {
    expect([...changedIps(two([young]), two([young]))]).toEqual([]);
    expect([...changedIps(two([young]), two([draining]))]).toEqual([ip]);
    expect([...changedIps(two([young]), two([young, draining]))]).toEqual([ip]);
  });

  it("are also those that come and go", () => {
    const third = address({ ipAddress: "169.254.210.212" });
    expect([...changedIps(two([young]), two([young], third))]).toEqual(["169.254.210.212"]);
    expect([...changedIps(two([young], third), two([young]))]).toEqual(["169.254.210.212"]);
  });
});

function own(word: string): string[] {
  return [`own 6 80 80 ${word}`, `own 17 80 80 ${word}`];
}
