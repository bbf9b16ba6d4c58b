import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { AgentProcess } from "./agent-process.ts";
import { magicIp, pause, ready, Stage, table, takes } from "./stage.ts";

let stage: Stage;
let agent: AgentProcess;
let a: string;
let b: string;

beforeAll(async () => {
  ({ stage, a, b } = await Stage.serving());
});
afterAll(() => stage?.remove());

/** The programs that stay with the agent: for looks, for changes, for what others do, for flows. */
const resident = 4;

const call = () => stage.node.call("client", "tcp", magicIp, 80, { deadline: 250 });
const served = (pod: string, seconds = 5) =>
  takes(`${pod} to serve`, seconds, async () => (await call()).pod === pod);

async function begin() {
  await stage.clear();
  await stage.addPod("a", { ips: [a] });
  agent = await stage.startAgent();
  await ready(agent);
  await served("a");
}

describe("somebody else's hands at the rules", () => {
  let rules: string;

  beforeAll(begin);
  beforeEach(async () => {
    await pause(1_500);
    rules = await stage.rules();
  });

  it.each([
    ["everything is flushed (F24)", ["flush", "ruleset"]],
    ["the table is deleted (F25)", ["delete", "table", "inet", table]],
    ["a chain is emptied (F25)", ["flush", "chain", "inet", table, "nat-prerouting"]],
    ["a rule is added (F25)", ["insert", "rule", "inet", table, "nat-prerouting", "counter", "accept"]],
    ["an element is deleted (F25)", ["flush", "set", "inet", table, "live4"]],
  ])("are undone within a second when %s, and counted", async (_what, words) => {
    const before = await agent.metric("magic_ip_repairs_total");
    await stage.nft(...words);
    expect(await takes("the rules", 8, async () => (await stage.rules()) === rules)).toBeLessThan(1_000);
    expect(await call()).toMatchObject({ pod: "a" });
    await takes("the count", 2, async () => (await agent.metric("magic_ip_repairs_total")) === before + 1);
  });

  it("that flush every 100 ms keep the agent neither from its work nor at it (F26)", async () => {
    const before = { ...agent.usage(), repairs: await agent.metric("magic_ip_repairs_total") };
    const seconds = 6;
    for (let turn = 0; turn < seconds * 10; turn++) {
      await stage.nft("flush", "ruleset");
      await pause(90);
    }
    const used = agent.usage();
    expect((used.cpuSeconds - before.cpuSeconds) / seconds).toBeLessThan(0.3);
    await takes("the rules", 15, async () => (await stage.rules()) === rules);
    // The kernel has the rules before the agent has looked at what it wrote.
    const repairs = () => agent.metric("magic_ip_repairs_total");
    await takes("the repair to be counted", 5, async () => (await repairs()) > before.repairs);
    await served("a");
    // A tool that runs has some.
    await takes("its descriptors", 10, () => agent.usage().descriptors <= before.descriptors + 5);
  });
});

it("a map whose elements limit what they lead on is replaced, and then serves", async () => {
  await begin();
  const limit = "limit rate 1/day burst 1 packets";
  const { stdout } = await stage.node.in("node", ["nft", "list", "table", "inet", table]);
  const text = String(stdout);
  const limited = text
    .replace(/(map targets4 \{\n\s*type [^\n]*\n)/, `$1\t\t${limit}\n`)
    .replace(/(\. (?:tcp|udp) \. 80) :/g, `$1 ${limit} :`);
  expect(limited).not.toBe(text);
  await stage.node.load(`table inet ${table}\ndelete table inet ${table}\n${limited}\n`);
  await takes("the rules to be right", 10, async () => !(await stage.rules()).includes(limit));
  for (let index = 0; index < 5; index++) expect(await call()).toMatchObject({ pod: "a" });
});

describe("a tool that fails", () => {
  beforeEach(begin);

  it.each([
    ["is missing", "", /magic-ip-netlink is not installed/],
    ["ends with 1", "exit 1", /ended with exit code 1/],
    ["crashes", "kill -SEGV $$", /SIGSEGV/],
    ["hangs", "exec sleep 60", /did not answer/],
    ["prints garbage", 'echo "%&/("', /no line of JSON/],
  ])(
    "(the netlink program, which %s) leaves the rules, makes the agent unready within 10 s, and is forgotten when it works again (F28)",
    async (_how, script, reason) => {
      const before = await stage.rules();
      await stage.replaceTool("magic-ip-netlink", script);
      agent.endTools("magic-ip-netlink");
      await stage.addPod("b", { ips: [b] });
      await stage.deletePod("a");
      await ready(agent, false, 10);
      // A program that was at work is ended first; one that hangs is given 5 s for each request.
      const said = async () => (await agent.readiness())?.reasons.join() ?? "";
      await takes("the reason", 20, async () => reason.test(await said()));
      expect(await stage.rules()).toBe(before);
      expect(await call()).toMatchObject({ pod: "a" });
      await stage.replaceTool("magic-ip-netlink");
      await ready(agent, true, 15);
      await served("b");
      await takes("no child to be left but what stays", 8, () => agent.usage().children <= resident);
    },
  );

  it.each([
    ["is missing", "", /nft is not installed/],
    ["ends with 1", "echo 'Error: no' >&2; exit 1", /Error: no/],
    ["crashes", "kill -SEGV $$", /SIGSEGV/],
    ["hangs", "exec sleep 60", /did not finish/],
    ["prints garbage", 'echo "%&/("', /than were just written/],
  ])(
    "(nft, which %s) keeps no change of targets, makes the agent unready within 10 s when the table is gone, and is forgotten when it works again (F28)",
    async (_how, script, reason) => {
      await stage.replaceTool("nft", script);
      await stage.addPod("b", { ips: [b] });
      await stage.deletePod("a");
      await served("b");
      await stage.nft("delete", "table", "inet", table);
      expect((await ready(agent, false, 10)).reasons.join()).toMatch(reason);
      await stage.replaceTool("nft");
      await ready(agent, true, 15);
      await served("b");
      await takes("no child to be left but what stays", 8, () => agent.usage().children <= resident);
    },
  );

  it("(a netlink program that is slow) only makes things slow (F28)", async () => {
    await stage.replaceTool("magic-ip-netlink", 'sleep 1; exec "$REAL" "$@"');
    agent.endTools("magic-ip-netlink");
    await stage.addPod("b", { ips: [b] });
    await stage.deletePod("a");
    await served("b", 10);
    // A request that its end left unanswered makes the agent unready until the next one.
    await ready(agent, true, 10);
  });

  it.each([
    ["is missing", "exit 127", /magic-ip-netlink is not installed/],
    ["hangs", "exec sleep 60", /did not answer/],
    ["ends with 1", "exit 1", /ended with exit code 1/],
  ])(
    "(the one that ends flows, which %s) costs a word in the status and no traffic (F29)",
    async (_how, script, reason) => {
      await stage.replaceFlows(script);
      await stage.addPod("b", { ips: [b] });
      await stage.deletePod("a");
      await served("b");
      await takes("the word", 10, async () => reason.test((await agent.readiness())?.reasons.join() ?? ""));
      expect((await agent.readiness())?.ready).toBe(true);
      await stage.replaceFlows();
      await takes("the word to go", 15, async () => !(await agent.readiness())?.reasons.length);
    },
  );
});

it("the flows of addresses without a target need no end to be refused (F29)", async () => {
  await begin();
  await stage.replaceFlows("exit 1");
  await stage.node.call("client", "udp", magicIp, 80, { keep: "guarded" });
  await stage.deletePod("a");
  await takes("a refusal", 3, async () => {
    const { error } = await stage.node.call("client", "udp", magicIp, 80, { keep: "guarded", deadline: 250 });
    return error === "ECONNREFUSED";
  });
});
