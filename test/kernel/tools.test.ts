import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { netlinkProgram } from "../support/netlink.ts";
import { AgentInNamespace, until } from "./agent-in-namespace.ts";

/** What a tool may do instead of its work. */
const faults: Record<string, string> = {
  "cannot be run": "exec /nowhere/tool",
  "fails with 1": "exit 1",
  crashes: "kill -SEGV $$",
  hangs: "exec sleep 61.7",
  "prints garbage": "echo '}{ garbage'; exit 0",
};

// Each has a node of its own, and mostly waits.
describe.concurrent.each(Object.entries(faults))("when the netlink program %s", (_, script) => {
  it("the rules stay, the agent is not ready within 10 s and says why, and all is well once it works", async () => {
    await withAgent(async (agent, rules) => {
      await agent.replaceTool("magic-ip-netlink", script);
      expect(await until(async () => !(await agent.report()).ready, 15_000)).toBeLessThan(10_000);
      const { reasons } = await agent.report();
      expect(reasons.join()).toMatch(
        /^the rules could not be brought up to date, the last ones stay: magic-ip-netlink /,
      );
      expect(await agent.rules()).toBe(rules);
      await agent.replaceTool("magic-ip-netlink", undefined);
      expect(await until(async () => (await agent.report()).ready, 15_000)).toBeLessThan(10_000);
      expect(await agent.rules()).toBe(rules);
    });
  });
});

describe.concurrent.each(Object.entries(faults))("when nft %s", (_, script) => {
  it("the agent stays ready until the table is gone, is then not, says why, and all is well once nft works", async () => {
    await withAgent(async (agent, rules) => {
      await agent.replaceTool("nft", script);
      await delay(5_000);
      expect((await agent.report()).ready).toBe(true);
      await agent.nft("flush ruleset");
      expect(await until(async () => !(await agent.report()).ready, 15_000)).toBeLessThan(10_000);
      const { reasons } = await agent.report();
      expect(reasons.join()).toMatch(/^the rules could not be brought up to date, the last ones stay: /);
      await agent.replaceTool("nft", undefined);
      expect(await until(async () => (await agent.report()).ready, 15_000)).toBeLessThan(10_000);
      expect(await agent.rules()).toBe(rules);
    });
  });
});

it.concurrent("an nft that takes 2 s is waited for", async () => {
  await withAgent(async (agent, rules) => {
    await agent.replaceTool("nft", 'sleep 2; exec /usr/sbin/nft "$@"');
    await agent.nft("flush ruleset");
    await until(async () => (await agent.rules()) === rules, 20_000);
    expect((await agent.report()).ready).toBe(true);
  });
});

describe.concurrent.each(Object.entries(faults))("when the program that ends flows %s", (_, script) => {
  it("the rules are right all the same, the agent is ready and names it, until it works again", async () => {
    await withAgent(async (agent, rules) => {
      await agent.replaceTool(
        "magic-ip-netlink",
        `[ "$1" = flows ] || exec ${await netlinkProgram()} "$@"\n${script}`,
      );
      await agent.nft("flush ruleset");
      const named = async () =>
        /stale flows could not be ended: /.test((await agent.report()).reasons.join());
      await until(named, 15_000);
      // The pass that follows a write by seconds may be the first that fails, before the flush is seen.
      await until(async () => (await agent.rules()) === rules, 15_000);
      expect((await agent.report()).ready).toBe(true);
      await agent.replaceTool("magic-ip-netlink", undefined);
      await until(async () => !(await named()), 15_000);
    });
  });
});

/** Runs the agent for a test; whatever its tools did, none of them is left when it has ended. */
async function withAgent(test: (agent: AgentInNamespace, rules: string) => Promise<void>): Promise<void> {
  const agent = await AgentInNamespace.start({ monitored: true });
  try {
    await test(agent, await agent.rules());
  } finally {
    await agent.stop();
    expect(await agent.processes()).toEqual([]);
  }
}
