import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { AgentProcess } from "./agent-process.ts";
import { refuse } from "./proxy.ts";
import { magicIp, pause, ready, Stage, takes } from "./stage.ts";

const daemonSets = "/apis/apps/v1/namespaces/stage/daemonsets";
const configMaps = "/api/v1/namespaces/stage/configmaps";

let stage: Stage;
let agent: AgentProcess;
let a: string;

beforeAll(async () => {
  stage = await Stage.create();
  await stage.node.addPod("client");
  a = await stage.host("a");
});
afterAll(() => stage?.remove());

/** An agent of an installation as the chart makes it. */
beforeEach(async () => {
  await stage.clear();
  await stage.allow().catch(() => undefined);
  await stage.plane.send("DELETE", `${configMaps}/stage`).catch(() => undefined);
  await stage.plane.send("DELETE", `${daemonSets}/agent`).catch(() => undefined);
  await stage.addPod("a", { ips: [a] });
  await stage.daemonSet(true);
  await stage.plane.send("POST", configMaps, { metadata: { name: "stage" }, data: { daemonSet: "agent" } });
  await begin();
});

async function begin(): Promise<void> {
  const env = { POD_NAMESPACE: "stage", DAEMONSET_NAME: "agent", INSTALLATION_NAME: "stage" };
  agent = await stage.startAgent({}, { env });
  await ready(agent);
  const watchesMark = () =>
    stage.proxy.requests.some(({ path, query }) => path === configMaps && query.has("watch"));
  await takes("the ConfigMap's watch", 10, watchesMark);
}

const deleteDaemonSet = () => stage.plane.send("DELETE", `${daemonSets}/agent`);
const deleteMark = () => stage.plane.send("DELETE", `${configMaps}/stage`);

/** Tells the agent to end; returns why the rules stay or go, after no more than 5 s. */
async function stopped(): Promise<string> {
  const began = performance.now();
  expect(await agent.stop()).toBe(0);
  expect(performance.now() - began).toBeLessThan(5_000);
  return agent.log.at(-1)?.msg ?? "";
}

const serves = async () => (await stage.node.call("client", "tcp", magicIp, 80)).pod === "a";

it.each([401, 403])(
  "rules stay when the agent is refused (%i) while the installation is there",
  async (status) => {
    // 401: the pod, or its node, was deleted by force, and its token with it; or the key was rotated.
    stage.proxy.fault = () => refuse(status);
    expect(await stopped()).toMatch(/the rules stay: the API server answers 40[13]/);
    expect(await serves()).toBe(true);
  },
);

it("rules stay when only the agent's pod is deleted", async () => {
  expect(await stopped()).toBe("ending, the rules stay: its DaemonSet stays");
  expect(await serves()).toBe(true);
});

it.each([401, 403])(
  "rules go with an installation whose account and roles went before the agent (%i)",
  async (status) => {
    await deleteDaemonSet();
    // As Helm does: what the agent would be asked with goes at the same moment.
    stage.proxy.fault = () => refuse(status);
    await deleteMark();
    expect(await stopped()).toMatch(/the installation is removed \(its ConfigMap is gone\)/);
    expect(await stage.rules()).toBe("");
  },
);

it("rules go with an installation that is older than the API server's memory, whose roles went before the agent (H42)", async () => {
  await agent.stop();
  // Another object is written later: the version of the ConfigMap's last change is then too old to watch from.
  const later = { metadata: { name: "later" } };
  await stage.plane.send("POST", configMaps, later);
  await stage.plane.send("DELETE", `${configMaps}/later`);
  await stage.plane.stopApi();
  await stage.plane.startApi();
  await begin();
  const asked = () => stage.proxy.requests.filter(({ path }) => path.startsWith(configMaps)).length;
  const before = asked();
  await pause(3_000);
  expect(asked()).toBe(before);
  stage.proxy.fault = () => refuse(403);
  await deleteMark();
  expect(await stopped()).toMatch(/the installation is removed \(its ConfigMap is gone\)/);
  expect(await stage.rules()).toBe("");
});

it("rules go with the DaemonSet, where the ConfigMap is left", async () => {
  await deleteDaemonSet();
  expect(await stopped()).toMatch(/the installation is removed \(its DaemonSet is gone\)/);
  expect(await stage.rules()).toBe("");
});

it("rules stay for a DaemonSet that is deleted and made anew under its name (kubectl replace --force)", async () => {
  await deleteDaemonSet();
  const ended = stopped();
  await pause(300);
  await stage.daemonSet(true);
  expect(await ended).toBe("ending, the rules stay: its DaemonSet stays");
  expect(await serves()).toBe(true);
});

it.each(["and may still ask", "and may not ask any more"])(
  "rules stay for a DaemonSet of another name that serves the installation now: the old one is gone, %s",
  async (how) => {
    await stage.plane.send("PATCH", `${configMaps}/stage`, { data: { daemonSet: "renamed" } });
    await deleteDaemonSet();
    if (how !== "and may still ask") stage.proxy.fault = () => refuse(403);
    expect(await stopped()).toBe("ending, the rules stay: the DaemonSet renamed serves the installation now");
    expect(await serves()).toBe(true);
  },
);

// The namespace stays "Terminating" here, for want of a controller: no test can come after this one.
it("rules go with the namespace, although its DaemonSet and its ConfigMap are there when the pods are ended", async () => {
  await stage.plane.send("DELETE", "/api/v1/namespaces/stage");
  expect(await stopped()).toMatch(/the installation is removed \(its namespace is being deleted\)/);
  expect(await stage.rules()).toBe("");
});
