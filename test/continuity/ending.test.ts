import { readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { AgentProcess } from "./agent-process.ts";
import { silence } from "./proxy.ts";
import { pause, ready, Stage } from "./stage.ts";

let stage: Stage;
let a: string;
let agent: AgentProcess;

const env = { DAEMONSET_NAME: "agent", POD_NAMESPACE: "stage" };
/** Milliseconds. A node that goes down may have less than the 10 s that the kubelet waits. */
const longest = 5_000;
/** Where rules are to be removed. */
const longestRemoval = 9_500;

beforeAll(async () => {
  ({ stage, a } = await Stage.serving());
});
afterAll(() => stage?.remove());
beforeEach(async () => {
  await stage.clear();
  await stage.addPod("a", { ips: [a] });
});

async function start(more: { env?: Record<string, string> } = {}): Promise<void> {
  agent = await stage.startAgent({}, more);
  await ready(agent);
}

/** Milliseconds that it took to end. */
async function ending(): Promise<number> {
  const began = performance.now();
  await agent.stop();
  return performance.now() - began;
}

/** Puts a script in the place of the agent's tools, of those too that it keeps. */
async function replaceTools(script: string): Promise<void> {
  for (const tool of ["nft", "magic-ip-netlink"]) await stage.replaceTool(tool, script);
  const children = readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, "utf8");
  for (const pid of children.split(" ").filter(Boolean)) kill(Number(pid));
}

/** A tool may have ended since. */
function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

async function restoreTools(): Promise<void> {
  for (const tool of ["nft", "magic-ip-netlink"]) await stage.replaceTool(tool);
}

describe("an agent that is told to end does so within 5 s", () => {
  it.each(["sleep 100", "trap '' TERM; sleep 100; sleep 100"])(
    "while its tools hang (%s)",
    async (script) => {
      await start();
      const rules = await stage.rules();
      await replaceTools(script);
      // So that a pass, a look and an end of flows are under way.
      await stage.setPod("a", { ips: [a], ready: false });
      await pause(1_000);
      expect(await ending()).toBeLessThan(longest);
      expect(await stage.rules()).toBe(rules);
    },
  );

  it("while it starts with tools that hang", async () => {
    await stage.replaceTool("nft", "sleep 100");
    agent = await stage.startAgent();
    await pause(1_500);
    expect(await ending()).toBeLessThan(longest);
  });

  it("while the API server says nothing, and its rules stay", async () => {
    await stage.daemonSet(true);
    await start({ env });
    const rules = await stage.rules();
    stage.proxy.fault = () => silence;
    expect(await ending()).toBeLessThan(longest);
    stage.proxy.fault = () => undefined;
    await stage.daemonSet(false);
    expect(await stage.rules()).toBe(rules);
  });
});

describe("an installation that goes", () => {
  beforeEach(async () => {
    await stage.daemonSet(true);
    await start({ env });
    await stage.daemonSet(false);
  });

  it("leaves nothing, and says so", async () => {
    expect(await ending()).toBeLessThan(longest);
    expect(await stage.rules()).toBe("");
    expect(agent.said(/: rules and flows are gone$/)).toHaveLength(1);
  });

  it("leaves nothing where a tool fails for 5 s", async () => {
    await replaceTools("exit 1");
    const restored = pause(5_000).then(restoreTools);
    expect(await ending()).toBeLessThan(longestRemoval);
    await restored;
    expect(await stage.rules()).toBe("");
    expect(agent.said(/: rules and flows are gone$/)).toHaveLength(1);
  });

  it.each([
    [
      "fails",
      "echo internal error >&2; exit 1",
      /could not be cleaned whole: run cleanup on it \(.*ended with exit code 1/,
    ],
    ["hangs", "sleep 100", /could not be cleaned whole: run cleanup on it \(the time was over/],
  ])("does not call the node clean where its program %s (C13)", async (_what, script, said) => {
    await replaceTools(script);
    expect(await ending()).toBeLessThan(longestRemoval);
    expect(await stage.rules()).not.toBe("");
    expect(agent.said(/are gone/)).toEqual([]);
    expect(agent.said(said).map(({ level }) => level)).toEqual(["error"]);
  });
});
