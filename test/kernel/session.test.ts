import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { desired } from "../../agent/desired.ts";
import { type Command, converse, type Converse } from "../../agent/netfilter/command.ts";
import { NftablesBackend } from "../../agent/netfilter/nftables.ts";
import { NftSession } from "../../agent/netfilter/session.ts";
import { node } from "../agent/node-facts.ts";
import { config, pod } from "../agent/state.ts";
import { ensurePackages } from "../support/debian.ts";
import { Namespaces } from "./namespaces.ts";

const namespaces = new Namespaces();
let run: Command;
const sessions: NftSession[] = [];

beforeAll(async () => {
  await ensurePackages(["nftables", "iproute2"]);
  await namespaces.add("node");
  run = namespaces.command("node");
});

afterAll(async () => {
  for (const session of sessions) session.end();
  await namespaces.deleteAll();
});

beforeEach(() => run("nft", ["flush", "ruleset"]));

const inNode: Converse = (file, args, heard, ended) => {
  const [enter, words] = namespaces.entering("node");
  return converse(enter, [...words, file, ...args], heard, ended);
};

function open(start: Converse = inNode): NftSession {
  const session = new NftSession(start);
  sessions.push(session);
  return session;
}

const put = (number: number) => `flush set inet t s\nadd element inet t s { ${number} }\n`;
const ask = (number: number) => [`get element inet t s { ${number} }`, `0x0000000${number}`] as const;

describe("an nft that stays", () => {
  beforeEach(() => run("nft", ["-f", "-"], "table inet t { set s { type mark; }; }"));

  it("makes one transaction after the other, each proven by the kernel's answer", async () => {
    const session = open();
    for (const number of [1, 2, 3]) expect(await session.run(put(number), ...ask(number))).toBe(true);
    expect(await run("nft", ["list", "set", "inet", "t", "s"])).toContain("elements = { 0x00000003 }");
  });

  it("changes nothing with a transaction that has a fault, and says that nothing is proven", async () => {
    const session = open();
    await session.run(put(1), ...ask(1));
    expect(await session.run(`${put(2)}delete element inet t s { 9 }\n`, ...ask(2))).toBe(false);
    expect(await session.run(`${put(3)}nonsense\n`, ...ask(3))).toBe(false);
    expect(await run("nft", ["list", "set", "inet", "t", "s"])).toContain("elements = { 0x00000001 }");
    expect(await session.run(put(4), ...ask(4))).toBe(true);
  });

  it("sees what others did meanwhile", async () => {
    const session = open();
    await session.run(put(1), ...ask(1));
    await run("nft", ["flush", "ruleset"]);
    expect(await session.run(put(2), ...ask(2))).toBe(false);
    await run("nft", ["-f", "-"], "table inet t { set s { type mark; }; }");
    expect(await session.run(put(3), ...ask(3))).toBe(true);
  });
});

describe("a change of targets gets into the kernel all the same", () => {
  const states = [pod("a"), pod("b", { ips: ["10.244.1.9"] })].map((target) =>
    desired(config(), node, [target]),
  );
  const listed = () => run("nft", ["list", "map", "inet", "magic-ip-test.echo", "targets4"]);

  it.each([
    ["is not there", "exit 127"],
    ["ends at once", "exit 1"],
    ["crashes", "kill -SEGV $$"],
    ["says nothing", "sleep 60"],
    ["talks nonsense", "yes"],
  ])("when the nft that stays %s", async (_how, script) => {
    const session = open((_file, _args, heard, ended) => converse("sh", ["-c", script], heard, ended));
    const backend = new NftablesBackend(run, { transact: session.run.bind(session) });
    for (const state of states) await backend.write(state);
    expect(await listed()).toContain("10.244.1.9 . 8080");
    expect(await backend.holds()).toBe(true);
  });

  it("when it was killed in between", async () => {
    const session = open();
    const backend = new NftablesBackend(run, { transact: session.run.bind(session) });
    for (const state of states) await backend.write(state);
    session.end();
    for (const state of states) await backend.write(state);
    expect(await listed()).toContain("10.244.1.9 . 8080");
  });
});
