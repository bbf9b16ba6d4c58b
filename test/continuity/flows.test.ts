import { readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Remembered, remember, tcpStates } from "../kernel/remember.ts";
import { runningPrograms } from "../kernel/programs.ts";
import type { AgentProcess } from "./agent-process.ts";
import { address, magicIp, pause, ready, Stage, takes } from "./stage.ts";

const [tcp, udp] = [6, 17];
let stage: Stage;
let agent: AgentProcess;
let a: string;
let b: string;
/** Each test has a client's flow of its own. */
let kept = "";

beforeAll(async () => {
  ({ stage, a, b } = await Stage.serving());
});
afterAll(() => stage?.remove());

const range = { port: 1_000, endPort: 65_535, protocol: "UDP" };
const ports = [{ port: 80, targetPort: 8080 }, { port: 80, targetPort: 8080, protocol: "UDP" }, range];
const addresses = [address({ ports }), address({ ipAddress: "169.254.210.211" })];
const has = (flow: Remembered) => remember(stage.node.entering("node"), flow);
const send = () => stage.node.call("client", "udp", magicIp, 80, { keep: kept, deadline: 250 });
const count = async () => Number((await stage.node.in("node", ["conntrack", "-C"])).stdout);

beforeEach(async ({ task }) => {
  kept = task.id;
  await stage.clear();
  await stage.addPod("a", { ips: [a] });
  agent = await stage.startAgent({ addresses });
  await ready(agent);
  await takes("an answer", 5, async () => (await send()).pod === "a");
});

/** Another pod becomes the target; milliseconds from its readiness until the client's flow leads there. */
async function move(pod: string, ip: string): Promise<number> {
  await stage.addPod(pod, { ips: [ip] });
  return await takes(`${pod} to get the flow`, 8, async () => (await send()).pod === pod);
}

/** Megabytes that the agent and its program have resident. */
async function resident(): Promise<number> {
  const { stdout } = await stage.node.in("node", ["readlink", "/proc/self/ns/net"]);
  const programs = (await runningPrograms(stdout, "flows")).map((id) => {
    const kilobytes = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1];
    return Number(kilobytes) / 1024;
  });
  return agent.usage().megabytes + programs.reduce((sum, megabytes) => sum + megabytes, 0);
}

describe("an agent whose node has many flows", () => {
  it("moves 126,000 of one pod to as many ports and lives, in the memory it had", async () => {
    const before = await resident();
    await has({ count: 126_000, protocol: udp, client: "10.1.0.1", to: magicIp, port: 0, from: a });
    const milliseconds = await move("b", b);
    await takes("the flows to end", 8, async () => (await count()) < 1_000);
    expect(agent.running).toBe(true);
    expect((await resident()) - before).toBeLessThan(16);
    // A tenth of it on a machine that does nothing else.
    expect(milliseconds).toBeLessThan(4_000);
  });

  it("neither reads flows to elsewhere, with two magic IPs, nor waits for connections that are over", async () => {
    await has({ count: 90_000, protocol: udp, client: "10.1.0.1", to: "192.0.2.1", from: "192.0.2.1" });
    const over = { protocol: tcp, from: a, state: tcpStates.TIME_WAIT };
    await has({ ...over, count: 160_000, client: "10.2.0.1", to: magicIp });
    const before = agent.usage();
    const times = [await move("b", b)];
    await stage.deletePod("b");
    times.push(await takes("a to get the flow", 8, async () => (await send()).pod === "a"));
    expect(Math.max(...times)).toBeLessThan(4_000);
    expect(agent.usage().megabytes - before.megabytes).toBeLessThan(16);
    await agent.stop();
    agent = await stage.startAgent({ addresses: [address()] });
    await ready(agent);
    // A part of the configuration before is gone, so that also connections that are over are looked at.
    await pause(3_000);
    expect(await send()).toMatchObject({ pod: "a" });
    expect(await resident()).toBeLessThan(110);
    const began = performance.now();
    expect(await agent.stop()).toBe(0);
    expect(performance.now() - began).toBeLessThan(2_000);
  });
});

it("a connection attempt that its target does not answer goes to the next one", async () => {
  const silence =
    "table inet silence { chain c { type filter hook input priority 0; tcp flags syn drop; }; }";
  await stage.node.in("a", ["nft", silence]);
  const call = stage.node.call("client", "tcp", magicIp, 80, { deadline: 7_500 });
  await pause(1_100); // the newest of two is the one of a later second
  await stage.addPod("b", { ips: [b] });
  try {
    // The client's kernel tries again after 1 s, 3 s and 7 s.
    expect(await call).toMatchObject({ pod: "b" });
  } finally {
    await stage.node.in("a", ["nft", "delete table inet silence"]);
  }
});

it("a flow whose packets a neighbour puts into a conntrack zone before our rules moves as others do", async () => {
  const zone =
    "table inet tenants { chain c { type filter hook prerouting priority -300; ct zone set 5; }; }";
  await stage.node.in("node", ["nft", zone]);
  try {
    kept = "zone";
    await takes("an answer", 5, async () => (await send()).pod === "a");
    await pause(1_100);
    await move("b", b);
    await stage.deletePod("b");
    await takes("a to get the flow", 8, async () => (await send()).pod === "a");
  } finally {
    await stage.node.in("node", ["nft", "delete table inet tenants"]);
  }
});

it("a connection through an IP that two installations swap goes on, because the same pod serves it", async () => {
  const other = "169.254.210.211";
  const start = (instance: string, ipAddress: string, healthPort: number) =>
    stage.startAgent({ instance, addresses: [address({ ipAddress })] }, { healthPort });
  await agent.stop();
  await stage.clear();
  await stage.addPod("a", { ips: [a] });
  let one = await start("one", magicIp, 61_000);
  let two = await start("two", other, 61_001);
  await Promise.all([ready(one), ready(two)]);
  const call = () => stage.node.call("client", "tcp", magicIp, 80, { keep: "swap", deadline: 1_000 });
  await takes("an answer", 5, async () => (await call()).pod === "a");
  await one.stop();
  one = await start("one", other, 61_000);
  await pause(2_000);
  await two.stop();
  two = await start("two", magicIp, 61_001);
  // What the other gave up is taken after two looks 5 s apart that missed it.
  await Promise.all([ready(one, true, 20), ready(two, true, 20)]);
  await pause(1_000);
  expect(await call()).toMatchObject({ pod: "a" });
});
