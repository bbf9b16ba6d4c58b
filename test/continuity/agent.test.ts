import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { isLong } from "../support/long.ts";
import { ensurePackages } from "../support/debian.ts";
import type { AgentProcess } from "./agent-process.ts";
import { killAtRandom } from "./kill.ts";
import { address, magicIp, pause, ready, Stage, takes } from "./stage.ts";

const other = "169.254.210.211";
/** A port that a later configuration has no more. */
const left = { port: 81, targetPort: 8080, protocol: "UDP" };
let stage: Stage;
let agent: AgentProcess;
let a: string;
let b: string;

beforeAll(async () => {
  ({ stage, a, b } = await Stage.serving());
});
afterAll(() => stage?.remove());

const call = (ip = magicIp) => stage.node.call("client", "tcp", ip, 80, { deadline: 250 });
const served = (pod: string, ip = magicIp, seconds = 5) =>
  takes(`${pod} to serve`, seconds, async () => (await call(ip)).pod === pod);
const failures = (answers: { error?: string }[]) => answers.filter(({ error }) => error !== undefined);

beforeEach(async () => {
  await stage.clear();
  await stage.addPod("a", { ips: [a] });
  agent = await stage.startAgent();
  await ready(agent);
  await served("a");
});

it("an agent that holds its health port has the name that the chart's startup probe looks for", async () => {
  expect(await readFile(`/proc/${agent.pid}/comm`, "utf8")).toBe("magic-ip-agent\n");
});

describe("an agent that ends", () => {
  it("because it is told to does so within 2 s, and its rules go on (F51)", async () => {
    const rules = await stage.rules();
    const calls = stage.node.callAll("client", "tcp", magicIp, 80, 10);
    await calls.next(({ pod }) => pod === "a");
    const began = performance.now();
    expect(await agent.stop()).toBe(0);
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(await stage.rules()).toBe(rules);
    agent = await stage.startAgent();
    await ready(agent);
    expect(failures(await calls.end())).toEqual([]);
    expect(await stage.rules()).toBe(rules);
  });

  const times = isLong ? 40 : 15;
  it(`by SIGKILL at any moment of a sync leaves the old rules or the new ones, ${times} times (F50)`, async () => {
    await agent.stop("SIGKILL");
    const { kills, neither, failed } = await killAtRandom(stage, { times, a, b });
    expect(kills).toBe(times);
    expect(neither).toEqual([]);
    expect(failed).toEqual([]);
  });

  it("and comes again touches nothing before it has listed the pods (F35)", async () => {
    await agent.stop();
    const rules = await stage.rules();
    stage.proxy.fault = (request) => (request.kind === "LIST" ? (response) => response.destroy() : undefined);
    agent = await stage.startAgent();
    await ready(agent, false);
    await pause(1_000);
    expect(await stage.rules()).toBe(rules);
    expect(await agent.readiness()).toMatchObject({ ready: false });
  });
});

describe("an agent that stands still", () => {
  it("is seen by its liveness probe, serves on, and catches up when it goes on (F53)", async () => {
    agent.signal("SIGSTOP");
    expect(await agent.ask("/livez", 1_000)).toBeUndefined();
    expect(await call()).toMatchObject({ pod: "a" });
    await stage.addPod("b", { ips: [b] });
    await stage.deletePod("a");
    agent.signal("SIGCONT");
    await served("b");
    await takes("its liveness", 5, () => agent.ask("/livez", 1_000));
  });
});

describe("a node whose clock jumps", () => {
  // Of the agent and its tools only: one machine has one clock. The monotonic one never jumps.
  const startWithClock = async (clock: string) =>
    stage.startAgent({}, { env: { ...(await faketime()), FAKETIME_TIMESTAMP_FILE: clock } });

  it("by an hour, forth or back, is followed as ever, and no number says nonsense (F48)", async () => {
    const clock = join(stage.directory, "clock");
    await writeFile(clock, "+0");
    await agent.stop();
    agent = await startWithClock(clock);
    await ready(agent);
    for (const [offset, pod, ip] of [
      ["+1h", "b", b],
      ["-1h", "a", a],
    ] as const) {
      await writeFile(clock, offset);
      await pause(2_100);
      await stage.clearPods();
      await stage.addPod(pod, { ips: [ip] });
      await served(pod, magicIp, 2);
      const hours = (Date.parse(agent.log.at(-1)?.time ?? "") - Date.now()) / 3_600_000;
      expect(Math.round(hours)).toBe(Number.parseInt(offset));
      await ready(agent);
      expect(await agent.ask("/metrics", 1_000)).not.toMatch(/ (-|NaN)/);
    }
    // The rules are an hour older than they say, or an hour younger than none.
    await agent.stop();
    agent = await stage.startAgent();
    await ready(agent);
    expect(agent.said(/last changed 60 min ago/)).toHaveLength(1);
    await writeFile(clock, "-2h");
    await agent.stop();
    agent = await startWithClock(clock);
    await ready(agent);
    expect(agent.said(/last changed 0 min ago/)).toHaveLength(1);
  });
});

describe("two agents of one installation at once", () => {
  it("do not fight: what is there stays, and nobody repairs what the other wrote (F52)", async () => {
    const second = await stage.startAgent({}, { healthPort: 61_001 });
    await ready(second);
    await pause(1_500);
    const repairs = async () =>
      (await agent.metric("magic_ip_repairs_total")) + (await second.metric("magic_ip_repairs_total"));
    const calls = stage.node.callAll("client", "tcp", magicIp, 80, 10);
    await calls.next(({ pod }) => pod === "a");
    const before = await repairs();
    const writes = await stage.countWrites(6_000);
    expect((await repairs()) - before).toBeLessThanOrEqual(1);
    expect(writes).toBeLessThanOrEqual(2);
    await stage.addPod("b", { ips: [b] });
    await calls.next(({ pod }) => pod === "b");
    await pause(1_500);
    const later = await stage.countWrites(6_000);
    expect(later).toBeLessThanOrEqual(2);
    expect(failures(await calls.end())).toEqual([]);
  });
});

describe("a configuration that changes", () => {
  it("costs no call of an address that stays, and is in force within a second of the new agent (F54, F55)", async () => {
    const calls = stage.node.callAll("client", "tcp", magicIp, 80, 5);
    await calls.next(({ pod }) => pod === "a");
    for (const addresses of [[address(), address({ ipAddress: other })], [address()]]) {
      await agent.stop();
      agent = await stage.startAgent({ addresses });
      await ready(agent);
      const expected = addresses.length === 2 ? { pod: "a" } : {};
      const answer = await call(other);
      expect(answer).toMatchObject(expected);
      if (addresses.length === 1) expect(answer.error).toBeDefined();
    }
    expect(failures(await calls.end())).toEqual([]);
  });

  it("leaves no UDP sender with an address or a port that is gone", async () => {
    const both = [address(), address({ ipAddress: other }), address({ ipAddress: magicIp, ports: [left] })];
    await agent.stop();
    agent = await stage.startAgent({ addresses: both });
    await ready(agent);
    const send = (ip: string, port: number) =>
      stage.node.call("client", "udp", ip, port, { keep: `${ip} ${port}`, deadline: 250 });
    for (const [ip, port] of [
      [magicIp, 80],
      [magicIp, 81],
      [other, 80],
    ] as const)
      await takes("an answer", 5, async () => (await send(ip, port)).pod === "a");
    await agent.stop();
    agent = await stage.startAgent();
    await ready(agent);
    for (const [ip, port] of [
      [magicIp, 81],
      [other, 80],
    ] as const)
      await takes("the end of its flow", 5, async () => (await send(ip, port)).error !== undefined);
    expect(await send(magicIp, 80)).toMatchObject({ pod: "a" });
  });

  it("to something wrong is refused whole, and the last one serves (F54)", async () => {
    await agent.stop();
    const rules = await stage.rules();
    const wrong = await stage.startAgent({ addresses: [address(), address({ ipAddress: "127.0.0.1" })] });
    await wrong.exited();
    expect(await wrong.stop()).toBe(2);
    expect(wrong.log.map(({ msg }) => msg).join("\n")).toContain("127.0.0.1");
    expect(await stage.rules()).toBe(rules);
    expect(await call()).toMatchObject({ pod: "a" });
  });
});

it("an installation that is removed leaves the node as it was, byte for byte, and no flow (F57)", async () => {
  await agent.stop();
  await stage.node.clear();
  await stage.nft("flush", "ruleset"); // the node's own notes of who called would differ
  const everything = async () => (await stage.node.in("node", ["nft", "list", "ruleset"])).stdout;
  const before = await everything();
  const home = { POD_NAMESPACE: "stage", DAEMONSET_NAME: "agent" };
  await stage.daemonSet(true);
  agent = await stage.startAgent({}, { env: home });
  await ready(agent);
  await served("a");
  await call();
  await stage.daemonSet(false);
  await agent.stop();
  expect(agent.said(/installation is removed/)).toHaveLength(1);
  expect(await everything()).toBe(before);
  const flows = await stage.node.in("node", ["conntrack", "-L", "--orig-dst", magicIp]);
  expect(flows.stdout).toBe("");
});

/** What makes a process see the clock of a file, which it reads every second. */
async function faketime(): Promise<Record<string, string>> {
  await ensurePackages(["libfaketime"]);
  const directories = (await readdir("/usr/lib")).filter((name) => name.endsWith("-linux-gnu"));
  const library = directories.map((name) => join("/usr/lib", name, "faketime/libfaketimeMT.so.1"));
  return { LD_PRELOAD: library.join(":"), FAKETIME_CACHE_DURATION: "1", FAKETIME_DONT_FAKE_MONOTONIC: "1" };
}
