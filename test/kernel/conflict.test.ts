import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Config } from "../../agent/config/config.ts";
import { NftablesBackend } from "../../agent/netfilter/nftables.ts";
import type { Command } from "../../agent/netfilter/command.ts";
import { reconcile } from "../../agent/sync/reconcile.ts";
import { tableName } from "../../agent/ruleset/nftables/table.ts";
import { Status } from "../../agent/status/status.ts";
import { Syncer } from "../../agent/sync/sync.ts";
import { node } from "../agent/node-facts.ts";
import { address, config, pod } from "../agent/state.ts";
import { ensurePackages } from "../support/debian.ts";
import { Namespaces } from "./namespaces.ts";

const namespaces = new Namespaces();
let run: Command;

beforeAll(async () => {
  await ensurePackages(["nftables", "iproute2"]);
  await namespaces.add("node");
  run = namespaces.command("node");
});

afterAll(() => namespaces.deleteAll());
beforeEach(() => run("nft", ["flush", "ruleset"]));

const ofPorts = (instance: string, ports: unknown[], changes = {}) =>
  config({ instance, addresses: [address({ ports, ...changes })] });

/** A running agent of an installation, which looks at the node when it is told to, in seconds of the test's own. */
class Agent {
  readonly backend = new NftablesBackend(run, namespaces.tables("node"));
  readonly status = new Status();
  readonly #pass: Syncer;
  #seconds = 0;

  constructor(readonly config: Config) {
    this.#pass = new Syncer({
      ...{ config, kernel: this.backend, status: this.status, log: pino({ level: "silent" }) },
      nodeFacts: () => Promise.resolve(node),
      conflict: () => {},
      now: () => this.#seconds * 1_000,
    });
  }

  /** Writes what it has, as a change of a pod makes it do. */
  async restores(): Promise<void> {
    await this.backend.holds();
    if (this.#pass.state !== undefined) await this.backend.write(this.#pass.state);
  }

  /** The ports that it has after a look at this time. */
  async looks(seconds: number): Promise<number[]> {
    this.#seconds = seconds;
    await this.#pass.inspect();
    expect(await this.#pass.run({ pods: () => [pod("a")] }, () => {})).toBe(true);
    return this.status.report().bindings.map(({ port }) => port);
  }
}

/** An agent of an installation: what it is after each of its passes. */
class Installation {
  readonly backend = new NftablesBackend(run, namespaces.tables("node"));

  constructor(readonly config: Config) {}

  async pass() {
    const claims = await this.backend.claims(this.config.instance);
    const pods = [pod("a")];
    const sync = await reconcile(
      { config: this.config, node, pods, claims, last: undefined, intact: false, settle: true },
      this.backend,
    );
    return {
      ports: sync.state.bindings.map(({ port }) => port),
      conflicts: sync.state.problems.flatMap(({ code, binding }) => (code === "CONFLICT" ? [binding] : [])),
    };
  }
}

describe("of two installations on one node", () => {
  it("the one that is in the kernel first keeps a port that both claim, and the other has the rest", async () => {
    const first = new Installation(ofPorts("first", [{ port: 80 }, { port: 81 }]));
    const second = new Installation(ofPorts("second", [{ port: 81 }, { port: 82 }]));
    expect(await first.pass()).toEqual({ ports: [80, 81], conflicts: [] });
    expect(await second.pass()).toEqual({ ports: [82], conflicts: ["169.254.210.210:81/tcp"] });
    expect(await first.pass()).toEqual({ ports: [80, 81], conflicts: [] });
    expect(await second.pass()).toEqual({ ports: [82], conflicts: ["169.254.210.210:81/tcp"] });
  });

  it("the other takes over when the first is gone", async () => {
    const first = new Installation(ofPorts("first", [{ port: 80 }]));
    const second = new Installation(ofPorts("second", [{ port: 80 }]));
    await first.pass();
    expect((await second.pass()).ports).toEqual([]);
    await first.backend.remove("first");
    expect(await second.pass()).toEqual({ ports: [80], conflicts: [] });
  });

  it.each([
    ["a range over the port", [{ port: 70, endPort: 90 }]],
    ["the whole IP", []],
  ])("%s counts as a claim", async (_what, ports) => {
    await new Installation(ofPorts("first", ports)).pass();
    const second = new Installation(ofPorts("second", [{ port: 80 }]));
    expect((await second.pass()).conflicts).toEqual(["169.254.210.210:80/tcp"]);
  });

  it("another protocol, another IP and the other family do not", async () => {
    const udp = [{ port: 80, protocol: "UDP" }];
    await new Installation(ofPorts("first", udp, { ipv6Address: "fd00:210::210" })).pass();
    const second = new Installation(
      config({
        instance: "second",
        addresses: [address({ ipAddress: "fd00:210::211" }), address({ ports: [{ port: 80 }] })],
      }),
    );
    expect((await second.pass()).conflicts).toEqual([]);
  });
});

describe("an installation that was refused", () => {
  const holder = () => new Agent(ofPorts("zzz", [{ port: 80 }]));
  const refused = () => new Agent(ofPorts("aaa", [{ port: 80 }, { port: 81 }]));

  it("gets nothing by a flush of the ruleset, whoever looks first (C11)", async () => {
    const [zzz, aaa] = [holder(), refused()];
    expect(await zzz.looks(0)).toEqual([80]);
    expect(await aaa.looks(0)).toEqual([81]);
    for (const seconds of [10, 20]) {
      await run("nft", ["flush", "ruleset"]);
      expect(await aaa.looks(seconds)).toEqual([81]);
      expect(await aaa.looks(seconds + 4)).toEqual([81]);
      expect(await zzz.looks(seconds + 4)).toEqual([80]);
      expect(await aaa.looks(seconds + 8)).toEqual([81]);
    }
  });

  it("takes at its next look what is given up: only the other's rules are gone (S9)", async () => {
    const [zzz, aaa] = [holder(), refused()];
    await zzz.looks(0);
    expect(await aaa.looks(0)).toEqual([81]);
    expect(await aaa.looks(0.1)).toEqual([81]);
    await zzz.backend.remove("zzz");
    expect(await aaa.looks(0.2)).toEqual([80, 81]);
  });

  it("gets nothing by a flush of the ruleset after which it writes its own rules before it looks", async () => {
    const [zzz, aaa] = [holder(), refused()];
    await zzz.looks(0);
    expect(await aaa.looks(0)).toEqual([81]);
    expect(await aaa.looks(0.1)).toEqual([81]);
    await run("nft", ["flush", "ruleset"]);
    await aaa.restores();
    expect(await aaa.looks(0.2)).toEqual([81]);
    expect(await aaa.looks(0.3)).toEqual([81]);
    expect(await zzz.looks(0.4)).toEqual([80]);
    expect(await aaa.looks(8)).toEqual([81]);
  });

  it("takes what a flush took along once it was missing in looks 5 s apart", async () => {
    const [zzz, aaa] = [holder(), refused()];
    await zzz.looks(0);
    expect(await aaa.looks(0)).toEqual([81]);
    await run("nft", ["flush", "ruleset"]);
    expect(await aaa.looks(4)).toEqual([81]);
    expect(await aaa.looks(8)).toEqual([81]);
    expect(await aaa.looks(9)).toEqual([80, 81]);
  });

  it("of two that came at once, the one whose name is first keeps a port", async () => {
    const [zzz, aaa] = [holder(), refused()];
    const both = await Promise.all([aaa.looks(0), zzz.looks(0)]);
    expect(both.flat()).toContain(80);
    await aaa.looks(4);
    await zzz.looks(4);
    expect([await aaa.looks(8), await zzz.looks(8)]).toContainEqual([80, 81]);
  });
});

describe("rules that no agent keeps", () => {
  const one = [{ port: 80 }, { port: 81 }];
  const tables = () => run("nft", ["list", "tables"]);

  it("are removed after 5 minutes by an installation that has their IPs: as one that was renamed (I7)", async () => {
    const [before, after] = [new Agent(ofPorts("old", one)), new Agent(ofPorts("new", [{ port: 80 }]))];
    await before.looks(0);
    expect(await after.looks(0)).toEqual([]);
    expect(await after.looks(299)).toEqual([]);
    expect(after.status.report().reasons[0]).toMatch(
      /if it is installed no more, run "cleanup --instance old" on the node$/,
    );
    expect(await after.looks(301)).toEqual([80]);
    expect(await tables()).toBe(`table inet ${tableName("new")}`);
  });

  it("stay as long as an agent refreshes them, and what they are for is in the way", async () => {
    const [before, after] = [new Agent(ofPorts("old", one)), new Agent(ofPorts("new", [{ port: 80 }]))];
    await before.looks(0);
    const since = await before.backend.writeTime("old");
    for (const minute of [0, 4, 8, 12]) {
      expect(await after.looks(minute * 60)).toEqual([]);
      // Also by an agent that has not written them itself.
      await new NftablesBackend(run, namespaces.tables("node")).refresh("old");
    }
    expect(await before.backend.writeTime("old")).toBe(since);
    expect(await before.backend.holds()).toBe(true);
  });

  it("stay where they have another IP, too, or are in nobody's way", async () => {
    const more = [address({ ports: one }), address({ ipAddress: "169.254.210.211" })];
    await new Agent(config({ instance: "old", addresses: more })).looks(0);
    await new Agent(ofPorts("apart", [{ port: 90 }])).looks(0);
    const after = new Agent(ofPorts("new", [{ port: 80 }]));
    expect(await after.looks(0)).toEqual([]);
    expect(await after.looks(10_000)).toEqual([]);
    expect((await tables()).split("\n")).toHaveLength(3);
  });

  it("stay where an earlier version wrote them, which says nothing of its agent", async () => {
    await new Agent(ofPorts("old", one)).looks(0);
    const set = ["inet", tableName("old"), "written"];
    await run("nft", ["flush", "set", ...set]);
    await run("nft", ["add", "element", ...set, "{ 1700000000 . 7 }"]);
    const after = new Agent(ofPorts("new", [{ port: 80 }]));
    expect(await after.looks(0)).toEqual([]);
    expect(await after.looks(10_000)).toEqual([]);
  });
});
