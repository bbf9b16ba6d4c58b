import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { AgentProcess } from "./agent-process.ts";
import { address, magicIp, pause, ready, Stage, takes } from "./stage.ts";

let stage: Stage;
let agent: AgentProcess;
let a: string;
let b: string;

beforeAll(async () => {
  ({ stage, a, b } = await Stage.serving());
});
afterAll(() => stage?.remove());

beforeEach(async () => {
  await stage.clear();
  agent = await stage.startAgent();
  await ready(agent);
});

const call = (transport: "tcp" | "udp", options = {}) =>
  stage.node.call("client", transport, magicIp, 80, { deadline: 250, ...options });
const served = (pod: string) => takes(`${pod} to serve`, 5, async () => (await call("tcp")).pod === pod);
const failures = (answers: { error?: string }[]) => answers.filter(({ error }) => error !== undefined);

describe("a target that is replaced", () => {
  it("loses no new connection when its successor is ready before it goes (F1)", async () => {
    await stage.addPod("a", { ips: [a] });
    await served("a");
    const calls = stage.node.callAll("client", "tcp", magicIp, 80, 5);
    await calls.next(({ pod }) => pod === "a");
    for (let turn = 0; turn < 3; turn++) {
      const [young, ip, old] = turn % 2 === 0 ? ["b", b, "a"] : ["a", a, "b"];
      await pause(1_000); // creations are told apart by the second
      await stage.addPod(young, { ips: [ip], ready: false });
      await stage.setPod(young, { ready: true });
      await calls.next(({ pod }) => pod === young);
      await stage.deletePod(old, 30);
      await pause(100);
      await stage.deletePod(old);
    }
    const answers = await calls.end();
    expect(answers.length).toBeGreaterThan(300);
    expect(failures(answers)).toEqual([]);
  });

  it("takes a UDP sender that never stops along at once, over a time without a target too (F2, F3)", async () => {
    await stage.addPod("a", { ips: [a] });
    await served("a");
    const calls = stage.node.callAll("client", "udp", magicIp, 80, 10);
    await calls.next(({ pod }) => pod === "a");
    await pause(1_000);
    const sent = Date.now();
    await stage.addPod("b", { ips: [b] });
    const moved = await calls.next(({ pod }) => pod === "b");
    // `npm run bench -- handover` has the aim of 250 ms.
    expect(moved.at - sent).toBeLessThan(1_000);
    await stage.deletePod("a");

    await stage.setPod("b", { ready: false });
    await calls.next(({ error }) => error === "ECONNREFUSED");
    const asked = Date.now();
    await stage.setPod("b", { ready: true });
    const again = await calls.next(({ pod }) => pod === "b");
    expect(again.at - asked).toBeLessThan(1_000);
    const answers = await calls.end();
    expect(answers.filter(({ pod, at }) => pod === "a" && at > moved.at)).toEqual([]);
    const flows = await stage.node.in("node", ["conntrack", "-L", "-p", "udp", "--orig-dst", magicIp]);
    expect(flows.stdout).not.toContain("UNREPLIED");
  });

  it("that goes for ever is sent nothing more, not even by a UDP sender who never listens (F4)", async () => {
    await stage.addPod("a", { ips: [a] });
    await served("a");
    const calls = stage.node.callAll("client", "udp", magicIp, 80, 10);
    await calls.next(({ pod }) => pod === "a");
    await stage.deletePod("a");
    await calls.next(({ error }) => error === "ECONNREFUSED");
    await stage.node.sightings("a");
    await pause(1_000);
    expect(await stage.node.sightings("a")).toEqual([]);
    await calls.end();
  });
});

describe.each([true, false])("a connection of TCP, with tcp_loose=%s,", (tcpLoose) => {
  it("goes on with a pod that terminates, and is reset within a second of its end (F5, F6)", async () => {
    // A running agent sees the switch within 4 s.
    await agent.stop();
    await stage.node.set({ tcpLoose });
    agent = await stage.startAgent();
    await ready(agent);
    await stage.addPod("a", { ips: [a] });
    await served("a");
    const stays = { keep: `stream-${tcpLoose}`, deadline: 1_000 };
    expect(await call("tcp", stays)).toMatchObject({ pod: "a" });
    await pause(1_000);
    await stage.addPod("b", { ips: [b] });
    await stage.deletePod("a", 30);
    await served("b");
    expect(await call("tcp", stays)).toMatchObject({ pod: "a" });
    await stage.deletePod("a");
    const isReset = async () => (await call("tcp", stays)).error === "ECONNRESET";
    expect(await takes("the reset", 5, isReset)).toBeLessThan(1_000);
    expect(await call("tcp")).toMatchObject({ pod: "b" });
  });
});

describe("a pod that is over", () => {
  it.each(["Succeeded", "Failed"])(
    "because it has %s receives nothing after 250 ms, though it keeps its IP (F8)",
    async (phase) => {
      await stage.addPod("a", { ips: [a] });
      await served("a");
      await call("udp", { keep: `over-${phase}` });
      await stage.setPod("a", { phase });
      await pause(250);
      await stage.node.sightings("a");
      expect(await call("tcp")).toMatchObject({ error: "ECONNREFUSED" });
      expect(await call("udp", { keep: `over-${phase}` })).toMatchObject({ error: "ECONNREFUSED" });
      expect(await stage.node.sightings("a")).toEqual([]);
    },
  );

  it("and whose IP a stranger got leads nobody to the stranger, old flows neither (F7)", async () => {
    await stage.addPod("a", { ips: [b] });
    await served("b");
    const old = stage.node.callAll("client", "udp", magicIp, 80, 10);
    await old.next(({ pod }) => pod === "b");
    await stage.setPod("a", { phase: "Failed" });
    await stage.addPod("stranger", { ips: [b], labels: { app: "other" } });
    await old.next(({ error }) => error === "ECONNREFUSED");
    await stage.node.sightings("b");
    await pause(300);
    expect(await call("tcp")).toMatchObject({ error: "ECONNREFUSED" });
    expect(await stage.node.sightings("b")).toEqual([]);
    await old.end();
  });

  it("is succeeded by one with its name and another uid and IP, and its flows end (F47)", async () => {
    await stage.addPod("same", { ips: [a] });
    await served("a");
    const stays = { keep: "same-name", deadline: 1_000 };
    await call("tcp", stays);
    await stage.deletePod("same");
    await stage.addPod("same", { ips: [b] });
    await served("b");
    expect(await call("tcp", stays)).toMatchObject({ error: "ECONNRESET" });
  });

  it("is succeeded by one with its name and its IP, and the log tells the two apart (F47)", async () => {
    await stage.addPod("same", { ips: [a] });
    await served("a");
    await stage.deletePod("same");
    await takes("a refusal", 5, async () => (await call("tcp")).error === "ECONNREFUSED");
    await stage.addPod("same", { ips: [a] });
    await served("a");
    // The rules are there before the line of their write.
    await takes("the second line", 5, () => agent.said(/80\/tcp → stage\/same/).length === 2);
  });
});

describe("pods of Kubernetes that are unlike others", () => {
  it("of two that are ready the newest serves, and a relist changes nothing (F9)", async () => {
    await stage.addPod("a", { ips: [a] });
    await pause(1_100);
    await stage.addPod("b", { ips: [b] });
    await served("b");
    await agent.stop();
    agent = await stage.startAgent({ pollInterval: 10 });
    await ready(agent);
    const before = agent.said(/→/).length;
    stage.proxy.cut();
    await takes("the watch to go on", 10, () => stage.proxy.of("WATCH", Date.now() - 3_000).length > 0);
    expect(await call("tcp")).toMatchObject({ pod: "b" });
    expect(agent.said(/→/)).toHaveLength(before);
  });

  it.each([
    ["of the wrong family", { ips: ["fd00:9::77"] }],
    ["of loopback", { ips: ["127.0.0.1"] }],
    ["that are none", {}],
  ])("with IPs %s are no targets, and the log says why (F44)", async (_which, words) => {
    await stage.addPod("strange", words);
    await takes("the reason", 5, async () =>
      (await agent.readiness())?.problems[0]?.message.includes("no usable IPv4 address"),
    );
    expect(await call("tcp")).toMatchObject({ error: "ECONNREFUSED" });
    await stage.addPod("a", { ips: [a, "fd00:9::78"] });
    await served("a");
  });

  it("without the port that the address names are no targets (F44)", async () => {
    await agent.stop();
    agent = await stage.startAgent({ addresses: [address({ ports: [{ port: 80, targetPort: "http" }] })] });
    await ready(agent);
    await stage.addPod("strange", { ips: [b] });
    await takes("the reason", 5, async () =>
      (await agent.readiness())?.problems[0]?.message.includes("port named http"),
    );
    await stage.addPod("a", { ips: [a], ports: [{ name: "http", containerPort: 8080 }] });
    await served("a");
  });

  it("with labels and annotations that are hostile get no word of theirs to nft (F45)", async () => {
    const hostile = "\"; } flush ruleset; add rule ip x y {\n\u{1f480}'`$(reboot)";
    await stage.addPod("a", {
      ips: [a],
      labels: { app: "echo", long: "x".repeat(63) },
      annotations: { note: hostile, "kubernetes.io/config.mirror": hostile },
    });
    await served("a");
    expect(await stage.rules()).not.toMatch(/flush|reboot|xxx/);
  });
});
