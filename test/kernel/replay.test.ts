import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Config } from "../../agent/config/config.ts";
import { desired } from "../../agent/desired/desired.ts";
import type { DesiredState } from "../../agent/desired/state.ts";
import type { Command } from "../../agent/netfilter/command.ts";
import { NftablesBackend } from "../../agent/netfilter/nftables.ts";
import type { Pod } from "../../agent/kubernetes/pod.ts";
import { ruleset } from "../../agent/ruleset/nftables/table.ts";
import { node } from "../agent/node-facts.ts";
import { address, config, pod } from "../agent/state.ts";
import { ensurePackages } from "../support/debian.ts";
import { randomOf } from "../support/random.ts";
import { Namespaces } from "./namespaces.ts";

const namespaces = new Namespaces();
let run: Command;
let fresh: Command;

beforeAll(async () => {
  await ensurePackages(["nftables", "iproute2"]);
  await namespaces.add("replay");
  await namespaces.add("fresh");
  run = namespaces.command("replay");
  fresh = namespaces.command("fresh");
});

afterAll(async () => {
  tables.end();
  await namespaces.deleteAll();
});

const tables = namespaces.tables("replay");

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

/** Whole numbers below a bound, the same for the same seed. */
function randomFrom(start: number): (below: number) => number {
  const random = randomOf(start);
  return (below) => (random() * 2 ** 32) % below;
}

const selectors = ["app=a", "app=b", "app in (a,b)"];

function randomConfig(random: (below: number) => number): Config {
  const addresses = Array.from({ length: 1 + random(3) }, (_, index) => {
    const ports = [
      { port: 80, targetPort: 8080 },
      { port: 8125, protocol: "UDP" },
      { port: 9000, endPort: 9009 },
    ];
    return address({
      ipAddress: `169.254.210.${1 + index}`,
      ...(random(2) === 0 ? { ipv6Address: `fd00:210::${1 + index}` } : {}),
      selector: selectors[random(3)],
      ports: ports.slice(0, random(4)),
      loadBalance: random(2) === 0,
      whenNoTarget: ["Reject", "Drop", "Pass"][random(3)],
    });
  });
  return config({ addresses, hostClients: random(4) > 0, outsideGuard: random(4) > 0 });
}

function randomPods(random: (below: number) => number): Pod[] {
  const names = ["one", "two", "three", "four", "five"].slice(0, random(6));
  return names.map((name) => {
    const number = 1 + random(9);
    return pod(name, {
      labels: { app: random(2) === 0 ? "a" : "b" },
      ips: random(5) === 0 ? [`10.244.1.${number}`] : [`10.244.1.${number}`, `fd00:9::${number}`],
      ready: random(4) > 0,
      terminating: random(5) === 0,
      phase: random(6) === 0 ? "Failed" : "Running",
    });
  });
}

/** The configuration changes now and then, the pods all the time. */
function* randomStates(count: number): Generator<DesiredState> {
  const random = randomFrom(seed);
  let current = randomConfig(random);
  for (let index = 0; index < count; index++) {
    if (random(20) === 0) current = randomConfig(random);
    yield desired(current, node, randomPods(random));
  }
}

async function freshListing(state: DesiredState): Promise<string> {
  await fresh("nft", ["flush", "ruleset"]);
  await fresh("nft", ["-f", "-"], ruleset(state));
  return listing(fresh);
}

/** Elements of intervals are listed as they were added; here they stand in order. The time of the write is left out. */
async function listing(command: Command): Promise<string> {
  const text = await command("nft", ["-s", "list", "ruleset"]);
  const timeless = text.replace(/\tset (written|layout) \{[^{}]*\{[^{}]*\}\n\t\}\n\n/g, "");
  return timeless.replace(/elements = \{([^}]*)\}/g, (_all, elements: string) => {
    const sorted = elements.split(",").map((element) => element.trim());
    return `elements = {\n${sorted.toSorted().join(",\n")} }`;
  });
}

describe(`a random history (SEED=${seed})`, () => {
  it("of 250 states leaves the ruleset of a fresh start, at its end and on its way", async () => {
    const backend = new NftablesBackend(run, tables);
    let step = 0;
    for (const state of randomStates(250)) {
      await backend.write(state);
      if (++step % 10 !== 0) continue;
      expect(await backend.holds(), `step ${step}`).toBe(true);
      expect(await listing(run), `step ${step}`).toBe(await freshListing(state));
    }
  });

  it("of changes by somebody else is noticed and undone, each of them", async () => {
    const backend = new NftablesBackend(run, tables);
    const state = desired(config(), node, [pod("a")]);
    const table = "inet magic-ip-test.echo";
    const foreign = [
      `flush ruleset`,
      `delete table ${table}`,
      `flush chain ${table} guard-forward`,
      `add rule ${table} guard-forward accept`,
      `insert rule ${table} nat-prerouting accept`,
      `add chain ${table} more`,
      `add set ${table} more { type ipv4_addr; }`,
      `delete element ${table} targets4 { 169.254.210.210 . tcp . 80 : 10.244.1.7 . 8080 }`,
      `add element ${table} targets4 { 169.254.210.210 . tcp . 99 : 10.244.1.66 . 8080 }`,
      `add element ${table} live4 { 169.254.210.210 . 10.244.1.66 }`,
      `delete element ${table} traffic4 { 169.254.210.210 . tcp . 80 }`,
    ];
    for (const change of foreign) {
      await backend.write(state);
      expect(await backend.holds(), change).toBe(true);
      await run("nft", ["-f", "-"], `${change}\n`);
      expect(await backend.holds(), change).toBe(false);
      await backend.write(state);
      expect(await listing(run), change).toBe(await freshListing(state));
    }
  });

  it("with somebody's hands at an element that is to change ends as it should all the same", async () => {
    const backend = new NftablesBackend(run, tables);
    await backend.write(desired(config(), node, [pod("a")]));
    await run("nft", ["flush", "map", "inet", "magic-ip-test.echo", "targets4"]);
    const state = desired(config(), node, [pod("b", { ips: ["10.244.1.9"] })]);
    await backend.write(state);
    expect(await listing(run)).toBe(await freshListing(state));
  });
});

it("counters of the bindings survive a change of targets, a repair, and an agent that starts anew", async () => {
  await run("nft", ["flush", "ruleset"]);
  const counted = async (backend: NftablesBackend) => (await backend.counts())[0]?.traffic;
  const states = [pod("a"), pod("b", { ips: ["10.244.1.9"] })].map((target) =>
    desired(config(), node, [target]),
  );
  const [before, after] = states as [DesiredState, DesiredState];
  const key = "169.254.210.210 . tcp . 80";
  const backend = new NftablesBackend(run, tables);
  await backend.write(before);
  const traffic = "inet magic-ip-test.echo traffic4";
  await run(
    "nft",
    ["-f", "-"],
    `delete element ${traffic} { ${key} }\nadd element ${traffic} { ${key} counter packets 7 bytes 420 }\n`,
  );
  await backend.write(after);
  expect(await counted(backend)).toEqual({ packets: 7, bytes: 420 });
  await run("nft", ["flush", "chain", "inet", "magic-ip-test.echo", "guard-forward"]);
  expect(await backend.holds()).toBe(false);
  await backend.write(after);
  expect(await counted(backend)).toEqual({ packets: 7, bytes: 420 });
  const another = new NftablesBackend(run, tables);
  await another.write(before);
  expect(await counted(another)).toEqual({ packets: 7, bytes: 420 });
});

it("a table tells when it was last written, whoever asks", async () => {
  await run("nft", ["flush", "ruleset"]);
  const backend = new NftablesBackend(run, tables);
  expect(await backend.writeTime("test.echo")).toBeUndefined();
  const before = Math.floor(Date.now() / 1000);
  await backend.write(desired(config(), node, [pod("a")]));
  await run("nft", ["-f", "-"], "flush set inet magic-ip-test.echo written\n");
  await backend.write(desired(config(), node, [pod("b", { ips: ["10.244.1.9"] })]));
  const time = (await new NftablesBackend(run, tables).writeTime("test.echo")) ?? 0;
  expect(time).toBeGreaterThanOrEqual(before);
  expect(time).toBeLessThanOrEqual(Date.now() / 1000);
});
