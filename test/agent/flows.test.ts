import { describe, expect, it } from "vitest";
import { desired } from "../../agent/desired.ts";
import type { Pod } from "../../agent/pod.ts";
import { flowQueries, judgeOf, kindsOf, parseFlows } from "../../agent/flows.ts";
import { node } from "./node-facts.ts";
import { address, config, pod } from "./state.ts";

const udp = (reply: string) =>
  `udp      17 29 src=10.244.1.5 dst=169.254.210.210 sport=40000 dport=80 src=${reply} dst=10.244.1.5 sport=8080 dport=40000 mark=0 use=1`;
const tcp = (reply: string) =>
  `tcp      6 431999 ESTABLISHED src=10.244.1.5 dst=169.254.210.210 sport=40000 dport=80 src=${reply} dst=10.244.1.5 sport=8080 dport=40000 [ASSURED] mark=0 use=1`;
const unanswered =
  "udp      17 29 src=10.244.1.5 dst=169.254.210.210 sport=40001 dport=80 [UNREPLIED] src=169.254.210.210 dst=10.244.1.5 sport=80 dport=40001 mark=0 use=1";

const state = desired(config(), node, [
  pod("new", { created: "2026-11-02T00:00:00Z", ips: ["10.244.1.8"] }),
  pod("draining", { terminating: true, ips: ["10.244.1.7"] }),
]);
const stale = (...lines: string[]) => parseFlows(lines.join("\n")).filter(judgeOf(state));

describe("which flows are ended", () => {
  it("a UDP flow to any pod but the target, even one that still drains", () => {
    expect(stale(udp("10.244.1.7"))).toHaveLength(1);
    expect(stale(udp("10.244.1.8"))).toEqual([]);
  });

  it("a TCP connection only when its pod is gone", () => {
    expect(stale(tcp("10.244.1.7"))).toEqual([]);
    expect(stale(tcp("10.244.1.9"))).toHaveLength(1);
  });

  it("a flow that was never translated, which would outlive the arrival of a target", () => {
    expect(stale(unanswered)).toMatchObject([{ replyIp: "169.254.210.210", replyPort: 80 }]);
  });

  it("not a flow to a port that is not ours", () => {
    expect(stale(udp("10.244.1.7").replace("dport=80 ", "dport=81 "))).toEqual([]);
  });

  it("each kind once, however many clients have it", () => {
    const two = stale(udp("10.244.1.7"), udp("10.244.1.7").replace("40000", "40009"));
    expect([two.length, kindsOf(two).length]).toEqual([2, 1]);
  });

  it("nothing of lines that are no flow", () => {
    expect(parseFlows("conntrack v1.4.7 (conntrack-tools): 3 flow entries have been shown.\n\n")).toEqual([]);
  });
});

describe("of a whole IP", () => {
  const whole = desired(
    config({
      addresses: [
        address({ ports: [] }),
        address({ selector: "app=web", ports: [{ port: 80, targetPort: 8080, protocol: "UDP" }] }),
      ],
    }),
    node,
    [pod("a", { ips: ["10.244.1.8"] }), pod("b", { labels: { app: "web" }, ips: ["10.244.1.9"] })],
  );
  const stale = (line: string) => parseFlows(line).filter(judgeOf(whole));
  const echo = (reply: string) =>
    `icmp     1 29 src=10.244.1.5 dst=169.254.210.210 type=8 code=0 id=7 src=${reply} dst=10.244.1.5 type=0 code=0 id=7 mark=0 use=1`;

  it("an echo request follows the target", () => {
    expect(stale(echo("10.244.1.7"))).toMatchObject([{ protocol: "icmp", port: undefined }]);
    expect(stale(echo("10.244.1.8"))).toEqual([]);
  });

  it("a port of its own follows its own target", () => {
    expect(stale(udp("10.244.1.9"))).toEqual([]);
    expect(stale(udp("10.244.1.8"))).toHaveLength(1);
  });

  it("any other port keeps its number", () => {
    const other = udp("10.244.1.8").replace("dport=80 ", "dport=8080 ");
    expect(stale(other)).toEqual([]);
  });

  it("conntrack is asked for every protocol that it serves, and else only for what is configured", () => {
    expect(flowQueries(whole.bindings).map(({ protocol }) => protocol)).toEqual([
      "udp",
      "icmp",
      "tcp",
      "sctp",
    ]);
    expect(flowQueries(state.bindings).map(({ protocol }) => protocol)).toEqual(["udp", "tcp"]);
  });
});

it("a flow that the network answers is left alone while its address lets it pass, and a UDP one only until a target comes", () => {
  const passing = config({ addresses: [address({ whenNoTarget: "Pass" })] });
  const of = (pods: Pod[]) => parseFlows(unanswered).filter(judgeOf(desired(passing, node, pods)));
  expect(of([])).toEqual([]);
  expect(of([pod("a")])).toHaveLength(1);
});
