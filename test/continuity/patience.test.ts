import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectApi } from "../../agent/kubernetes/api.ts";
import { watchPods } from "../../agent/kubernetes/pods.ts";
import { config } from "../agent/state.ts";
import type { AgentProcess } from "./agent-process.ts";
import { ApiProxy, refuse } from "./proxy.ts";
import { address, kubeconfig, magicIp, pause, ready, Stage, takes } from "./stage.ts";

const quiet = 40_000;

let stage: Stage;
let agent: AgentProcess;
let rested: Promise<void>;
let watched: number;

beforeAll(async () => {
  stage = await Stage.create();
  await stage.node.addPod("client");
  await stage.addPod("a", { ips: [await stage.host("a")] });
  agent = await stage.startAgent();
  await ready(agent);
  await takes("the watch", 5, () => stage.proxy.of("WATCH").length === 1);
  watched = Date.now();
  rested = pause(quiet) as Promise<void>;
});
afterAll(() => stage?.remove());

describe("two hundred agents", () => {
  let directory: string;
  let proxy: ApiProxy;
  const ending = new AbortController();

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "magic-ip-"));
    proxy = new ApiProxy(stage.plane);
    await proxy.listen(0);
    const file = join(directory, "kubeconfig");
    await writeFile(file, kubeconfig(`http://127.0.0.1:${proxy.port}`));
    process.env.KUBECONFIG = file;
  });
  afterAll(async () => {
    ending.abort();
    proxy.close();
    await rm(directory, { recursive: true });
  });

  it("come back over ten seconds and more after the API server was away, and none of them lists anew (F41)", async () => {
    const of = config({ addresses: [address()] });
    const listener = { changed: () => {}, trouble: () => {} };
    for (let count = 0; count < 200; count++)
      watchPods(connectApi(), of, `node-${count}`, listener, ending.signal);
    await takes("200 watches", 20, () => proxy.of("WATCH").length === 200);
    await pause(500);
    const cut = Date.now();
    proxy.fault = () => (Date.now() - cut < 1_000 ? refuse(503) : undefined);
    proxy.cut();
    await takes("200 watches", 30, () => successes(cut).length === 200);
    // Those who come while it still refuses are load, too.
    const times = proxy.of("WATCH", cut).map(({ at }) => at);
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThanOrEqual(10_000);
    // Not in a burst either: no second has more than three times its share.
    const perSecond = [...Map.groupBy(times, (at) => Math.floor((at - cut) / 1_000)).values()];
    expect(Math.max(...perSecond.map(({ length }) => length))).toBeLessThanOrEqual(60);
    expect(proxy.of("LIST", cut)).toEqual([]);
    expect(proxy.requests.filter(({ at }) => at >= cut).length).toBeLessThan(500);
  });

  const successes = (since: number) =>
    proxy.of("WATCH", since).filter(({ status }) => status === undefined || status === 200);
});

it("an agent whose pods rest asks the API server for nothing but its one watch, which lasts to the relist (F59)", async () => {
  await rested;
  expect(stage.proxy.requests.filter(({ at }) => at > watched)).toEqual([]);
  const [watch] = stage.proxy.of("WATCH");
  // It ends by itself after 15 minutes at the soonest; with a list each 30 minutes: 0.003 requests a second at most.
  expect(Number(watch?.query.get("timeoutSeconds"))).toBeGreaterThanOrEqual(900);
});

it("an agent whose packets to the API server vanish finds out within 45 s, and comes back (F36)", async () => {
  await stage.blackHole(true);
  const found = await takes("the trouble", 60, async () => (await agent.readiness())?.reasons.length);
  expect(found).toBeLessThan(45_000);
  expect(await agent.readiness()).toMatchObject({ ready: true });
  expect(await stage.node.call("client", "tcp", magicIp, 80)).toMatchObject({ pod: "a" });
  await stage.blackHole(false);
  const b = await stage.host("b");
  await stage.addPod("b", { ips: [b] });
  await takes(
    "b to serve",
    40,
    async () => (await stage.node.call("client", "tcp", magicIp, 80)).pod === "b",
  );
}, 120_000);
