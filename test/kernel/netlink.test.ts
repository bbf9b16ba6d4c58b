import { execa } from "execa";
import { readdir, readFile, readlink } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { desired } from "../../agent/desired/desired.ts";
import { type Command, command } from "../../agent/netfilter/command.ts";
import { differing, expectedOf } from "../../agent/netfilter/expected.ts";
import { Lines, type Netlink, NetlinkError, program } from "../../agent/netfilter/netlink.ts";
import { NftablesBackend } from "../../agent/netfilter/nftables.ts";
import type { Tables } from "../../agent/netfilter/tables.ts";
import { ruleset } from "../../agent/ruleset/nftables/table.ts";
import { objectsOf } from "../../agent/ruleset/nftables/objects.ts";
import { node } from "../agent/node-facts.ts";
import { address, config, pod } from "../agent/state.ts";
import { ensurePackages } from "../support/debian.ts";
import { netlinkProgram } from "../support/netlink.ts";
import { until } from "./agent-in-namespace.ts";
import { Namespaces } from "./namespaces.ts";

const namespaces = new Namespaces();
const table = "magic-ip-test.echo";
let run: Command;
let tables: Tables;
let rules: Netlink;

beforeAll(async () => {
  await ensurePackages(["nftables", "iproute2", "iptables"]);
  await namespaces.add("node");
  run = namespaces.command("node");
  tables = namespaces.tables("node");
  rules = namespaces.netlink("node", "rules");
});

afterAll(async () => {
  tables.end();
  rules.end();
  await namespaces.deleteAll();
});

beforeEach(() => run("nft", ["flush", "ruleset"]));

const nft = (text: string) => run("nft", ["-f", "-"], text);
const code = (asked: Promise<unknown>) =>
  asked.then(
    () => undefined,
    (error: unknown) => (error instanceof NetlinkError ? (error.code ?? error.fault) : error),
  );

const ports = [
  { port: 80, targetPort: 8080 },
  { port: 8125, protocol: "UDP" },
  { port: 9000, endPort: 9009 },
];
const stateOf = (changes: Record<string, unknown>, ip = "10.244.1.7") =>
  desired(
    config({
      addresses: [
        address({ ipv6Address: "fd00:210::1", ports, ...changes }),
        address({ ipAddress: "169.254.210.9", ports: undefined, ...changes, whenNoTarget: "Pass" }),
        address({ ipAddress: "169.254.210.9", ports, ...changes, whenNoTarget: "Reject" }),
      ],
    }),
    node,
    [pod("a", { ips: [ip, "fd00:9::7"] })],
  );

describe("what the kernel holds", () => {
  it.each([
    { loadBalance: false, whenNoTarget: "Drop" },
    { loadBalance: true, whenNoTarget: "Pass" },
  ])("has for every set the digest that the agent computes, with %o", async (changes) => {
    const state = stateOf(changes);
    await nft(ruleset(state, { stamp: { time: 1_700_000_000, number: 7 } }));
    const found = await tables.digest("test.echo");
    const objects = objectsOf(state);
    expect(objects.length).toBeGreaterThan(20);
    expect(found && differing(found, expectedOf(objects))).toEqual([]);
    const other = objectsOf(stateOf(changes, "10.244.1.8"));
    expect(found && differing(found, expectedOf(other)).length).toBeGreaterThan(4);
    expect(await tables.stamp("test.echo")).toEqual({ time: 1_700_000_000, number: 7 });
    const frontends = state.bindings.map(({ ipAddress, protocol, port, endPort }) =>
      JSON.stringify({ ipAddress, protocol, port, endPort }),
    );
    expect((await tables.frontends("test.echo")).map((each) => JSON.stringify(each)).sort()).toEqual(
      frontends.sort(),
    );
  });

  it.each([
    ["a rule of another chain", `insert rule inet ${table} guard-output accept`],
    ["an empty chain", `add chain inet ${table} more`],
    ["a dormant table", `add table inet ${table} { flags dormant; }`],
    ["another policy", `add chain inet ${table} guard-forward { policy drop; }`],
    ["a set", `add set inet ${table} more { type ipv4_addr; }`],
    ["the same rules in another order", `add rule inet ${table} refuse counter reject`],
  ])("has another frame with %s", async (_, change) => {
    await nft(ruleset(stateOf({})));
    const before = await tables.digest("test.echo");
    expect(await tables.digest("test.echo")).toEqual(before);
    await nft(`${change}\n`);
    expect((await tables.digest("test.echo"))?.frame).not.toBe(before?.frame);
  });

  it("is the same while others add and delete chains of their own in the same family", async () => {
    await nft(ruleset(stateOf({})));
    const before = await tables.digest("test.echo");
    const own = Array.from({ length: 20 }, (_, n) => `chain c${n} {}`).join("\n");
    const churn = `while true; do printf 'table inet a {\n${own}\n}\n' | nft -f -; nft delete table inet a; done`;
    const [enter, words] = namespaces.entering("node");
    const others = execa(enter, [...words, "sh", "-c", churn.replaceAll("\n", "\\n")], {
      reject: false,
      forceKillAfterDelay: 100,
    });
    for (let look = 0; look < 200; look++) expect(await tables.digest("test.echo")).toEqual(before);
    others.kill("SIGKILL");
    await others;
  });

  it("is another where an element does more than to count", async () => {
    const text = (statement: string) =>
      `table inet ${table} {\nset s {\ntype ipv4_addr\n${statement}\nelements = { 192.0.2.1 }\n}\n}\n`;
    await nft(text("limit rate 1/day"));
    const limited = (await tables.digest("test.echo"))?.sets.get("s");
    await nft(`delete table inet ${table}\n${text("")}`);
    expect((await tables.digest("test.echo"))?.sets.get("s")).not.toEqual(limited);
  });

  it("has another frame where what each element of a set gets does more than to count", async () => {
    const text = (statement: string) =>
      `table inet ${table} {\nset s {\ntype ipv4_addr\nflags dynamic\n${statement}\n}\n}\n`;
    const frames: (string | undefined)[] = [];
    for (const statement of ["", "counter", "limit rate 1/day"]) {
      await nft(`table inet ${table}\ndelete table inet ${table}\n${text(statement)}`);
      frames.push((await tables.digest("test.echo"))?.frame);
    }
    expect(new Set(frames).size).toBe(3);
  });

  it("is undefined where there is no table, and of other tables nothing is told", async () => {
    expect(await tables.digest("test.echo")).toBeUndefined();
    await nft("table inet magic-ip-a {}\ntable inet other {}\ntable ip magic-ip-b {}\n");
    expect(await tables.instances()).toEqual(["a"]);
    await tables.remove("a");
    await tables.remove("a");
    expect(await tables.instances()).toEqual([]);
  });
});

describe("a request that cannot be", () => {
  beforeEach(() => nft(`table inet ${table} { set s { type mark; }; map m { type mark : mark; }; }\n`));

  it.each([
    ["an unknown one", ["dance"], undefined, "EINVAL"],
    ["one with too few words", ["digest"], undefined, "EINVAL"],
    ["no number of elements", ["elements", table, "s", "many"], undefined, "EINVAL"],
    ["an unknown set", ["elements", table, "nothing", "9"], undefined, "ENOENT"],
    ["an element twice too short", ["change", table], ["add s 0000"], "EINVAL"],
    ["what is no hex", ["change", table], ["add s 0000000g"], "EINVAL"],
    ["what is too long for a key", ["change", table], [`add s ${"00".repeat(65)}`], "EINVAL"],
    ["an unknown line", ["change", table], ["add s 00000001", "pray"], "EINVAL"],
    ["an empty line", ["change", table], [""], "EINVAL"],
    ["an element that is not there", ["change", table], ["delete s 00000001"], "ENOENT"],
    ["a map's element without data", ["change", table], ["add m 00000001"], "EINVAL"],
    ["a line that is too long", ["change", table], [`add s ${"0".repeat(5000)}`], "FAILED"],
    ["too many words", ["elements", table, "s", "1", "2"], undefined, "FAILED"],
  ])("(%s) says so, changes nothing, and the next one is answered", async (_, words, payload, fault) => {
    expect(await code(rules.request(words, payload))).toBe(fault);
    await rules.request(["change", table], ["flush s", "add s 00000001", "add s 00000002"]);
    let count = 0;
    await tables.elements("test.echo", "s", () => count++);
    expect(count).toBe(2);
  });

  it("one that is larger than a transaction may be is refused, one of 20,000 elements is not", async () => {
    const elements = (count: number) =>
      Array.from({ length: count }, (_, index) => `add s ${index.toString(16).padStart(8, "0")}`);
    expect(await code(rules.request(["change", table], elements(400_000)))).toBe("E2BIG");
    await rules.request(["change", table], elements(20_000));
    expect(await code(rules.request(["elements", table, "s", "19999"]))).toBe("E2BIG");
    await rules.request(["elements", table, "s", "20000"]);
  });
});

describe("a program that is missing", () => {
  it("is named, with what to do", async () => {
    const { Netlink } = await import("../../agent/netfilter/netlink.ts");
    const { converse } = await import("../../agent/netfilter/command.ts");
    const missing = new Netlink("rules", {
      start: (file, ...others) => converse(`/nowhere/${file}`, ...others),
    });
    await expect(missing.request(["generation"])).rejects.toMatchObject({
      fault: "MISSING",
      message: expect.stringMatching(/^magic-ip-netlink is not installed on this node's image: /),
    });
  });
});

describe("a start", () => {
  const start = () => new NftablesBackend(run, tables);
  const handles = async () =>
    (await run("nft", ["-a", "list", "table", "inet", table])).match(/# handle \d+/g);

  it("that finds what it wants writes nothing", async () => {
    await start().write(stateOf({}));
    const generation = await tables.generation();
    const second = start();
    await second.write(stateOf({}));
    expect(await tables.generation()).toBe(generation);
    expect(await second.holds()).toBe(true);
    expect((await second.counts()).length).toBe(stateOf({}).bindings.length);
  });

  it("that finds other targets changes elements, and no rule", async () => {
    await start().write(stateOf({ loadBalance: true }));
    const before = await handles();
    const second = start();
    const state = stateOf({ loadBalance: true }, "10.244.1.9");
    await second.write(state);
    expect(await handles()).toEqual(before);
    expect(await second.holds()).toBe(true);
    const found = await tables.digest("test.echo");
    expect(found && differing(found, expectedOf(objectsOf(state)))).toEqual([]);
  });

  it.each([
    ["a rule that somebody added", `insert rule inet ${table} nat-prerouting accept`],
    ["a changed element of the configuration", `delete element inet ${table} ips4 { 169.254.210.9 }`],
    ["a table that does not tell what it was written from", `flush set inet ${table} layout`],
  ])("that finds %s replaces the table", async (_, change) => {
    await start().write(stateOf({}));
    const before = await handles();
    await nft(`${change}\n`);
    const second = start();
    await second.write(stateOf({}));
    expect(await handles()).not.toEqual(before);
    expect(await second.holds()).toBe(true);
  });

  it("with another configuration replaces the table", async () => {
    await start().write(stateOf({}));
    const second = start();
    await second.write(stateOf({ whenNoTarget: "Drop" }));
    expect(await second.holds()).toBe(true);
    const found = await tables.digest("test.echo");
    expect(found && differing(found, expectedOf(objectsOf(stateOf({ whenNoTarget: "Drop" }))))).toEqual([]);
  });
});

/** The program's watch of our table: the events it told. */
class Watch {
  readonly events: unknown[] = [];
  readonly #conversation;

  constructor() {
    const lines = new Lines(
      ({ event }) => this.events.push(event),
      () => {},
    );
    const heard = (text: string) => lines.take(text);
    this.#conversation = namespaces.converse("node")(program, ["watch", table], heard, () => {});
  }

  async begun(): Promise<this> {
    await until(() => Promise.resolve(this.events.includes("watching")));
    this.events.length = 0;
    return this;
  }

  /** What it tells of an action. */
  async sees(action: () => Promise<unknown>): Promise<unknown[]> {
    this.events.length = 0;
    await action();
    await delay(150);
    return [...this.events];
  }

  end(): void {
    this.#conversation.end();
  }
}

describe("the watch", () => {
  let watch: Watch;

  beforeEach(async () => {
    watch = await new Watch().begun();
    return () => watch.end();
  });

  it("is silent about our own transactions and other tables, and hints at what others do to ours", async () => {
    const backend = new NftablesBackend(run, tables);
    expect(await watch.sees(() => backend.write(stateOf({})))).toEqual([]);
    expect(await watch.sees(() => backend.write(stateOf({}, "10.244.1.8")))).toEqual([]);
    for (const other of ["inet other", `inet ${table}-2`, `inet ${table.slice(0, -1)}`, `ip ${table}`])
      expect(await watch.sees(() => nft(`table ${other} { set written { type mark; }; }\n`)), other).toEqual(
        [],
      );
    const saved = await run("nft", ["list", "table", "inet", table]);
    for (const foreign of [
      `add rule inet ${table} refuse drop`,
      `flush set inet ${table} live4`,
      `add element inet ${table} live4 { 169.254.210.210 . 10.6.6.6 }`,
      `add element inet ${table} written { 1 . 1 }`,
      `delete table inet ${table}`,
      // With an old stamp.
      saved,
      "flush ruleset",
    ])
      expect(await watch.sees(() => nft(`${foreign}\n`)), foreign).toEqual(["rules"]);
  });

  it("hints at the end of another installation's table, whose addresses may be free then", async () => {
    expect(await watch.sees(() => nft("table inet magic-ip-zzz { set s { type mark; }; }\n"))).toEqual([]);
    expect(await watch.sees(() => nft("delete table inet magic-ip-zzz\n"))).toEqual(["rules"]);
  });

  it("hints at changes of interfaces and routes", async () => {
    const ip = (line: string) => watch.sees(() => namespaces.ip("node", [line]));
    expect(await ip("link add v0 type veth peer name v1")).toContain("network");
    await delay(300);
    await ip("link set v0 up");
    await delay(300);
    expect(await ip("route add 10.9.0.0/24 dev lo")).toContain("network");
    await delay(300);
    expect(await ip("route add fd00:99::/64 dev lo")).toContain("network");
    await ip("link del v0");
  });

  it("keeps nothing, and tells of 100,000 foreign changes at most once in 20 ms", async () => {
    await nft(`table inet ${table} { set s { type mark; }; }\ntable inet other { set s { type mark; }; }\n`);
    await delay(100);
    const memory = async () => await residentKilobytes("watch");
    const before = await memory();
    watch.events.length = 0;
    const began = performance.now();
    for (let turn = 0; turn < 5; turn++)
      for (const [verb, family] of [
        ["add", "other"],
        ["delete", "other"],
        ["add", table],
        ["delete", table],
      ] as const) {
        const numbers = Array.from({ length: 5_000 }, (_, index) => index).join(", ");
        await nft(`${verb} element inet ${family} s { ${numbers} }\n`);
      }
    const milliseconds = performance.now() - began;
    await delay(100);
    expect(watch.events.length).toBeGreaterThan(0);
    expect(watch.events.length).toBeLessThan(2 + milliseconds / 20);
    expect((await memory()) - before).toBeLessThan(100);
  });
});

/** What a tool of the agent's takes on a node with many rules of kube-proxy's. */
describe("beside 24,000 rules of others", () => {
  beforeEach(async () => {
    const chains = Array.from({ length: 1_500 }, (_, chain) => {
      const lines = Array.from(
        { length: 16 },
        (_, rule) => `-A KUBE-SVC-${chain} -d 10.96.${chain % 250}.${rule} -p tcp --dport 80 -j ACCEPT`,
      );
      return { name: `:KUBE-SVC-${chain} - [0:0]`, lines };
    });
    const text = [
      "*filter",
      ...chains.map(({ name }) => name),
      ...chains.flatMap(({ lines }) => lines),
      "COMMIT",
    ];
    await run("iptables-nft-restore", ["--noflush"], `${text.join("\n")}\n`);
  });

  it("what stays with the agent has together less than 6 MB, with all of its looks and changes", async () => {
    const watch = await new Watch().begun();
    const backend = new NftablesBackend(run, tables);
    await backend.write(stateOf({}));
    await backend.write(stateOf({}, "10.244.1.8"));
    expect(await backend.holds()).toBe(true);
    await Promise.all([backend.counts(), backend.claims("test.echo"), backend.writeTime("test.echo")]);
    const kilobytes = (await residentKilobytes("watch")) + (await residentKilobytes("rules"));
    watch.end();
    expect(kilobytes).toBeGreaterThan(500);
    expect(kilobytes).toBeLessThan(6_000);
  });

  it("a tool that would take more memory than it may fails instead, and says so", async () => {
    const limit = async (bytes: number, ...words: string[]) =>
      command("nsenter", [
        ...namespaces.entering("node")[1],
        await netlinkProgram(),
        ...["limit", String(bytes), "--", "nft", ...words],
      ]);
    await expect(limit(24 * 2 ** 20, "list", "ruleset")).rejects.toThrow(/memory|MiB/i);
    expect(await limit(24 * 2 ** 20, "list", "chains", "inet")).toBe("");
  });
});

/** Of all programs of this mode in the namespace. */
async function residentKilobytes(mode: string): Promise<number> {
  const { stdout: network } = await namespaces.in("node", ["readlink", "/proc/self/ns/net"]);
  let sum = 0;
  for (const id of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    if ((await readlink(`/proc/${id}/ns/net`).catch(() => "")) !== network) continue;
    const words = (await readFile(`/proc/${id}/cmdline`, "utf8").catch(() => "")).split("\0");
    if (!words[0]?.endsWith(program) || words[1] !== mode) continue;
    sum += Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${id}/status`, "utf8"))?.[1]);
  }
  return sum;
}
