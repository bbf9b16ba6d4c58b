import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AgentInNamespace, until } from "./agent-in-namespace.ts";

const table = "magic-ip-test.echo";

describe("what somebody else does to the rules", () => {
  let agent: AgentInNamespace;
  let rules: string;

  beforeAll(async () => {
    agent = await AgentInNamespace.start({ monitored: true });
    rules = await agent.rules();
    expect(rules).toContain("10.244.1.7");
  });

  afterAll(() => agent.stop());

  it.each([
    ["a flushed ruleset", ["flush ruleset"]],
    ["our table deleted", [`delete table inet ${table}`]],
    ["an element deleted", [`delete element inet ${table} targets4 { 169.254.210.210 . tcp . 80 }`]],
    [
      "an element changed",
      [
        `delete element inet ${table} targets4 { 169.254.210.210 . tcp . 80 }`,
        `add element inet ${table} targets4 { 169.254.210.210 . tcp . 80 : 10.6.6.6 . 666 }`,
      ],
    ],
    ["an element added", [`add element inet ${table} live4 { 169.254.210.210 . 10.6.6.6 }`]],
    ["a foreign rule in our chain", [`insert rule inet ${table} nat-prerouting drop`]],
  ])("is undone within a second and counted: %s", async (_, commands) => {
    const before = await agent.repairs();
    await agent.nft(commands.join("; "));
    const milliseconds = await until(async () => (await agent.rules()) === rules);
    expect(milliseconds).toBeLessThan(1_000);
    await until(async () => (await agent.repairs()) === before + 1);
    // Hints that follow each other are spaced; the next one here is to be a first one.
    await delay(1_000);
    expect(await agent.repairs()).toBe(before + 1);
  });

  it("is none of our business when it is another table", async () => {
    const before = await agent.repairs();
    await agent.nft("add table inet other; add set inet other live4 { type ipv4_addr; }");
    await agent.nft("delete table inet other");
    await delay(500);
    expect(await agent.repairs()).toBe(before);
    expect(await agent.rules()).toBe(rules);
  });

  it("costs less than a fifth of a core when it happens every 100 ms", async () => {
    const before = await agent.repairs();
    const [cpu, started] = [await processorTime(), performance.now()];
    let flushes = 0;
    let spent = 0;
    while (performance.now() - started < 10_000) {
      const own = await processorTime();
      await agent.nft("flush ruleset");
      spent += (await processorTime()) - own;
      flushes++;
      await delay(100);
    }
    const share = ((await processorTime()) - cpu - spent) / (performance.now() - started);
    const repairs = (await agent.repairs()) - before;
    expect(share).toBeLessThan(0.2);
    expect(repairs).toBeGreaterThan(1);
    expect(repairs).toBeLessThan(flushes / 2);
    await until(async () => (await agent.rules()) === rules);
    await until(async () => (await agent.report()).ready);
  });
});

it("without a monitor it is undone by the look every few seconds", async () => {
  const agent = await AgentInNamespace.start({ monitored: false });
  try {
    const rules = await agent.rules();
    await agent.nft("flush ruleset");
    expect(await until(async () => (await agent.rules()) === rules)).toBeLessThan(5_500);
    await until(async () => (await agent.repairs()) === 1);
  } finally {
    await agent.stop();
  }
});

/** Milliseconds of processor time of this process and of all that it ever started. */
async function processorTime(): Promise<number> {
  const children = await readFile(`/proc/self/task/${process.pid}/children`, "utf8");
  const all = ["self", ...children.trim().split(" ")];
  const times = await Promise.all(all.map((id) => ticksOf(id).catch(() => 0)));
  return times.reduce((sum, ticks) => sum + ticks, 0) * 10;
}

/** User's and system's, its own and that of its ended children. */
async function ticksOf(id: string): Promise<number> {
  const stat = await readFile(`/proc/${id}/stat`, "utf8");
  const times = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 15);
  return times.reduce((sum, ticks) => sum + Number(ticks), 0);
}
