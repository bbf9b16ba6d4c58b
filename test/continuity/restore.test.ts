import { afterAll, beforeAll, expect, it } from "vitest";
import { magicIp, ready, Stage, takes } from "./stage.ts";

let stage: Stage;

beforeAll(async () => {
  stage = await Stage.create();
  await stage.node.addPod("client");
});
afterAll(() => stage?.remove());

it("an API server that comes back with an older etcd is believed, although its versions go backwards (F39)", async () => {
  const [a, b] = [await stage.host("a"), await stage.host("b")];
  const pod = async () => (await stage.node.call("client", "tcp", magicIp, 80, { deadline: 500 })).pod;
  await stage.addPod("a", { ips: [a] });
  await stage.plane.stopEtcd();
  const backup = await stage.plane.backUp();
  await stage.plane.startEtcd();
  await stage.deletePod("a");
  await stage.addPod("b", { ips: [b] });
  // Enough that the restored server does not reach the agent's version by itself soon.
  for (let more = 0; more < 300; more++) await stage.setPod("b", { ready: more % 2 === 1 });
  const agent = await stage.startAgent();
  await ready(agent);
  expect(await pod()).toBe("b");

  await stage.plane.stopApi();
  await stage.plane.stopEtcd();
  await stage.plane.restore(backup);
  await stage.plane.startEtcd();
  await stage.plane.startApi();
  // The server takes the watch, of a version that it does not know yet, and is silent: for 75 s that is nothing unusual.
  expect(await takes("a to serve", 120, async () => (await pod()) === "a")).toBeLessThan(100_000);
  expect(agent.running).toBe(true);
}, 300_000);
