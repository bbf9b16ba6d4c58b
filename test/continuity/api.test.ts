import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AgentProcess } from "./agent-process.ts";
import { type ApiRequest, changed, halfOpen, late, refuse, silence, truncated } from "./proxy.ts";
import { address, instance, magicIp, pause, ready, Stage, takes } from "./stage.ts";

let stage: Stage;
let agent: AgentProcess;
let a: string;
let b: string;

const call = (ip = magicIp) => stage.node.call("client", "tcp", ip, 80, { deadline: 500 });
const served = (pod: string, seconds = 12) =>
  takes(`${pod} to serve`, seconds, async () => (await call()).pod === pod);

beforeAll(async () => {
  ({ stage, a, b } = await Stage.serving());
});
afterAll(() => stage?.remove());

/** A node with pod `a` as its target, and an agent that knows it. */
async function begin(config = {}) {
  await stage.clear();
  await stage.addPod("a", { ips: [a] });
  agent = await stage.startAgent(config);
  await ready(agent);
  await served("a");
}

/** Addresses of agents that are at work at once: each has an installation, a selector and a fault of its own. */
const faults = {
  quiet: undefined,
  "429": refuse(429, { "retry-after": "2" }),
  "500": refuse(500),
  "503": refuse(503),
  truncated,
  late: late(1_500),
  silent: silence,
  halfOpen,
  unknown: changed((line) => line.replace('"object":{', '"object":{"whatsThis":[{}],')),
};
type Name = keyof typeof faults;
const names = Object.keys(faults) as Name[];
const ipOf = (name: Name) => `169.254.211.${names.indexOf(name) + 1}`;
const asker = ({ query }: ApiRequest) => /who!=(\w+)/.exec(query.get("labelSelector") ?? "")?.[1] as Name;

describe("an API server that answers badly", () => {
  const agents = new Map<Name, AgentProcess>();
  let asked: ApiRequest[] = [];
  let seconds = 0;

  beforeAll(async () => {
    await stage.clear();
    await stage.addPod("a", { ips: [a] });
    for (const name of names) {
      const addresses = [address({ ipAddress: ipOf(name), selector: `app=echo,who!=${name}` })];
      const healthPort = 61_000 + names.indexOf(name);
      agents.set(name, await stage.startAgent({ instance: name, addresses, healthPort }));
    }
    for (const one of agents.values()) await ready(one, true, 20);
    stage.proxy.fault = (request) => faults[asker(request)];
    stage.proxy.requests.length = 0;
    stage.proxy.cut();
    const began = performance.now();
    // Everybody has come back once by then.
    await pause(11_500);
    asked = [...stage.proxy.requests];
    seconds = (performance.now() - began) / 1000;
    stage.proxy.fault = (request) => (asker(request) === "halfOpen" ? halfOpen : undefined);
    // Newer, so that everybody should go over to it.
    await stage.addPod("b", { ips: [b] });
  });

  const bad = names.filter((name) => !["quiet", "halfOpen", "silent"].includes(name));

  it.each(bad)("(%s) is asked at most once a second, at moments of chance (F40)", (name) => {
    const own = asked.filter((request) => asker(request) === name);
    expect(own.length / seconds).toBeLessThanOrEqual(1);
  });

  it.each(bad)("(%s) changes nothing, and is caught up with when it is well again (F40)", async (name) => {
    const { pod, error } = await call(ipOf(name));
    expect(pod ?? error).toMatch(/^[ab]$/);
    await takes("b to serve", 12, async () => (await call(ipOf(name))).pod === "b");
    expect(agents.get(name)?.running).toBe(true);
  });

  it("is told with its own words, and traffic can be relied on meanwhile (F40)", () => {
    for (const [name, words] of [
      ["429", /answers 429/],
      ["500", /answers 500/],
      ["503", /answers 503/],
    ] as const) {
      expect(agents.get(name)?.said(words)).not.toEqual([]);
      expect(agents.get(name)?.said(/could not be brought up to date/)).toEqual([]);
    }
  });
});

describe("an API server that goes away", () => {
  it("takes nothing with it: traffic goes on, the agent is ready and says what is wrong, and waits quietly (F34)", async () => {
    await begin();
    const before = await stage.rules();
    await stage.plane.stopApi();
    await takes("the trouble", 15, async () => (await agent.readiness())?.reasons.length);
    expect(await agent.readiness()).toMatchObject({ ready: true });
    const used = agent.usage().cpuSeconds;
    await pause(3_000);
    expect((agent.usage().cpuSeconds - used) / 3).toBeLessThan(0.05 * 3);
    expect(await call()).toMatchObject({ pod: "a" });
    expect(await stage.rules()).toBe(before);
  });

  it("is not waited for by traffic when the agent starts anew meanwhile: the rules of the last one stay (F35)", async () => {
    const before = await stage.rules();
    const calls = stage.node.callAll("client", "tcp", magicIp, 80, 10);
    await agent.stop("SIGKILL");
    agent = await stage.startAgent();
    await takes("the trouble", 10, async () => (await agent.readiness())?.reasons[0]);
    await pause(500);
    expect(await agent.readiness()).toMatchObject({ ready: false });
    expect((await calls.end()).filter(({ error }) => error)).toEqual([]);
    expect(await stage.rules()).toBe(before);
  });

  it("is found again, and what happened meanwhile is caught up with, by one list at most (F38, F41)", async () => {
    await stage.plane.startApi();
    await ready(agent, true, 15);
    stage.proxy.requests.length = 0;
    stage.proxy.fault = () => silence;
    stage.proxy.cut();
    await stage.deletePod("a");
    await stage.addPod("b", { ips: [b] });
    // The new server remembers nothing from before its start, and etcd forgets it too.
    await stage.plane.stopApi();
    await stage.plane.compact();
    await stage.plane.startApi();
    stage.proxy.fault = () => undefined;
    stage.proxy.cut();
    await served("b", 25);
    expect(stage.proxy.of("LIST").filter(({ status }) => status === 200).length).toBeLessThanOrEqual(1);
  });
});

describe("an agent", () => {
  it("whose rights are taken away says so, and recovers when it gets them back (F42)", async () => {
    await begin();
    await stage.forbid();
    stage.proxy.cut();
    await takes("the trouble", 15, async () =>
      (await agent.readiness())?.reasons.some((reason) => reason.includes("403")),
    );
    expect(await call()).toMatchObject({ pod: "a" });
    await stage.allow();
    await stage.addPod("b", { ips: [b] });
    await served("b", 15);
  });

  it("that is told things twice, or never of a deletion, ends with what there is (F43)", async () => {
    await begin({ pollInterval: 10 });
    stage.proxy.fault = ({ kind }) =>
      kind === "WATCH"
        ? changed((line) => (line.includes('"DELETED"') ? undefined : `${line}\n${line}`))
        : undefined;
    stage.proxy.cut();
    await takes("the watch to go on", 12, () => stage.proxy.of("WATCH", Date.now() - 1_000).length > 0);
    await pause(1_000); // the newest of two is the one of a later second
    await stage.addPod("b", { ips: [b] });
    await served("b");
    await stage.deletePod("b");
    await served("a", 15);
    expect(agent.said(/→ stage\/b/)).toHaveLength(2); // one for TCP, one for UDP
  });

  it("that comes to a node under another name leaves nothing of the old node's pods (F49)", async () => {
    await begin();
    await agent.stop();
    agent = await stage.startAgent({}, { nodeName: "node-2" });
    await ready(agent);
    expect(await stage.rules()).not.toContain(a);
    expect(await call()).toMatchObject({ error: "ECONNREFUSED" });
    expect(await stage.rules()).toContain(`magic-ip-${instance}`);
  });
});

describe("a namespace that cannot be listed", () => {
  const lost = "169.254.210.211";
  const addresses = [address(), address({ ipAddress: lost, selector: "app=echo,who!=lost" })];
  const isLost = ({ query }: ApiRequest) => query.get("labelSelector")?.includes("lost");

  it("keeps no other address from being served, and its own refuses, on a node without rules", async () => {
    await stage.clear();
    await stage.addPod("a", { ips: [a] });
    stage.proxy.fault = (request) => (isLost(request) ? refuse(403) : undefined);
    agent = await stage.startAgent({ addresses });
    await served("a", 10);
    expect(await call(lost)).toMatchObject({ error: "ECONNREFUSED" });
    // The rules are there before the report of their write.
    await takes("a report of it", 5, async () => (await agent.metric("magic_ip_problems")) === 2);
    const report = await agent.readiness();
    expect(report).toMatchObject({ ready: false });
    expect(report?.problems.map(({ code }) => code)).toEqual(["UNKNOWN_PODS", "UNKNOWN_PODS"]);
    expect(report?.reasons[0]).toMatch(
      /^169\.254\.210\.211:80\/tcp goes on as it was, because the pods in stage/,
    );
    stage.proxy.fault = () => undefined;
    await ready(agent, true, 15);
    expect(await call(lost)).toMatchObject({ pod: "a" });
  });

  it("goes on as it was when the agent starts anew, and the others follow their pods", async () => {
    await agent.stop();
    stage.proxy.fault = (request) => (isLost(request) ? refuse(403) : undefined);
    const calls = stage.node.callAll("client", "tcp", lost, 80, 10);
    agent = await stage.startAgent({ addresses });
    const report = await ready(agent);
    expect(report.reasons.some((reason) => reason.startsWith(`${lost}:80/udp goes on as it was`))).toBe(true);
    await pause(1_000);
    await stage.addPod("b", { ips: [b] });
    await served("b");
    expect(await call(lost)).toMatchObject({ pod: "a" });
    expect((await calls.end()).filter(({ error }) => error)).toEqual([]);
    stage.proxy.fault = () => undefined;
    await takes("b to serve", 15, async () => (await call(lost)).pod === "b");
  });
});
