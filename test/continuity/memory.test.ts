import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { many, manyAddresses } from "../bench/many.ts";
import { createCgroup, removeCgroup } from "../cluster/cgroups.ts";
import { isLong } from "../support/long.ts";
import type { AgentProcess } from "./agent-process.ts";
import { pause, ready, Stage, takes } from "./stage.ts";

const values = readFileSync(new URL("../../component/chart/values.yaml", import.meta.url), "utf8");
const limit = Number.parseInt(parse(values).resources.limits.memory) * 2 ** 20;

/** The memory of a container, in whichever version of cgroups the machine has. */
const cgroup = `magic-ip-memory-${process.pid}`;
const place = (name: string) =>
  ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].map((root) => join(root, cgroup, name)).find(existsSync);
const write = (name: string, value: number) => {
  const file = place(name);
  if (file !== undefined) writeFileSync(file, String(value));
};
const read = (...names: string[]) => {
  const file = names.map(place).find((found) => found !== undefined);
  return file === undefined ? "" : readFileSync(file, "utf8");
};
const peak = () => Math.round(Number(read("memory.max_usage_in_bytes", "memory.peak")) / 2 ** 20);
const kills = () => Number(/^oom_kill (\d+)$/m.exec(read("memory.oom_control", "memory.events"))?.[1]);

const size = isLong ? many.addresses : many.addresses / 4;
const pods = Array.from({ length: 5 }, (_, number) => `pod-${number}`);
const addresses = manyAddresses("stage")
  .slice(0, size)
  .map((address, index) => ({
    ...address,
    selector: `bench=${pods[index % pods.length]}`,
  }));
let stage: Stage;
let agent: AgentProcess;

beforeAll(async () => {
  createCgroup(cgroup);
  write("memory.limit_in_bytes", limit);
  write("memory.max", limit);
  stage = await Stage.create();
  for (const [index, name] of pods.entries())
    await stage.addPod(name, { labels: { bench: name }, ips: [`10.99.0.${index + 1}`] });
});

afterAll(async () => {
  await stage?.remove();
  await removeCgroup(cgroup);
});

async function start(): Promise<void> {
  agent = await stage.startAgent({ addresses });
  write("cgroup.procs", agent.pid);
  await ready(agent, true, 40);
}

it(`${size} addresses × ${many.ports} ports live in the chart's ${limit / 2 ** 20} MiB: at the start, at scrapes, changes, a repair and a restart`, async () => {
  await start();
  const peaks = [peak()];
  for (let scrape = 0; scrape < 3; scrape++)
    expect(await agent.ask("/metrics", 10_000)).toContain(
      'packets_total{binding="169.254.200.1:8000/tcp"} 0',
    );
  for (const [index, name] of pods.entries()) {
    await stage.setPod(name, { ips: [`10.99.1.${index + 1}`], ready: true });
    await pause(300);
  }
  peaks.push(peak());
  await stage.nft("flush", "ruleset");
  await takes("the table to be back", 30, async () => (await stage.rules()) !== "");
  peaks.push(peak());
  await agent.stop();
  await start();
  await agent.stop();
  expect(kills()).toBe(0);
  // With what the kernel keeps for the table, which it counts, too.
  expect(Math.max(...peaks, peak()), `peaks of ${peaks.join(", ")} MiB`).toBeLessThan(
    (limit / 2 ** 20) * 0.9,
  );
});
