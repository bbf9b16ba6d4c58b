import { pino } from "pino";
import { describe, expect, it } from "vitest";
import type { Address } from "../../agent/config/config.ts";
import { bindingName, type Claim, type DesiredState, type HeldRules } from "../../agent/desired/state.ts";
import { metricsText } from "../../agent/status/metrics.ts";
import type { Pod } from "../../agent/kubernetes/pod.ts";
import { Status } from "../../agent/status/status.ts";
import type { Kernel } from "../../agent/sync/inspector.ts";
import { Syncer } from "../../agent/sync/sync.ts";
import { node } from "./node-facts.ts";
import { address, config, pod } from "./state.ts";

const silent = pino({ level: "silent" });
const a = pod("a");
const b = pod("b", { ips: ["10.244.1.8"], created: "2026-11-02T00:00:00Z" });

/** A kernel that holds what it was given last, whether or not its tool then says that it failed. */
class FakeKernel implements Kernel {
  held: DesiredState | undefined;
  fault: Error | undefined;
  shortfall: string | undefined;
  warning: string | undefined;
  writes = 0;

  write(state: DesiredState): Promise<void> {
    this.held = state;
    this.writes++;
    return this.fault === undefined ? Promise.resolve() : Promise.reject(this.fault);
  }

  holds = () => Promise.resolve(true);
  claims = (): Promise<Claim[]> => Promise.resolve([]);
  remove = (): Promise<undefined> => Promise.resolve(undefined);
}

function passes(nodeFacts = () => Promise.resolve(node), log = silent) {
  const kernel = new FakeKernel();
  const status = new Status();
  const sync = new Syncer({
    ...{ config: config(), kernel, status, log },
    ...{ nodeFacts, conflict: () => {} },
  });
  const run = (...pods: Pod[]) => sync.run({ pods: () => pods }, () => {});
  return { kernel, status, sync, run };
}

describe("flows that are looked at", () => {
  it("while a write is under way, or after one that failed, may belong to it", async () => {
    const { kernel, sync, run } = passes();
    await run(a);
    kernel.fault = new Error("nft did not finish");
    await run(a, b);
    expect(sync.states().map(({ live }) => live.length)).toEqual([1, 2]);
    kernel.fault = undefined;
    await run(a, b);
    expect(sync.states().map(({ live }) => live.length)).toEqual([2]);
  });
});

it("a foreign change whose first repair fails is counted once, when it is undone (F26)", async () => {
  const { kernel, status, sync, run } = passes();
  await run(a);
  kernel.holds = () => Promise.resolve(false);
  await sync.inspect();
  kernel.fault = new Error("the table is gone");
  await run(a);
  expect(status.report()).toMatchObject({ repairs: 0 });
  kernel.fault = undefined;
  await run(a);
  await run(a);
  expect(status.report()).toMatchObject({ repairs: 1 });
});

it("what a family lacks is no foreign change, however often targets change meanwhile (H36)", async () => {
  const { kernel, status, sync, run } = passes();
  await run(a);
  kernel.shortfall = "the rules of IPv6 could not be brought up to date";
  kernel.holds = () => Promise.resolve(false);
  for (const pods of [[a, b], [b], [a]]) {
    await sync.inspect();
    await run(...pods);
  }
  expect(status.report()).toMatchObject({ repairs: 0 });
});

it("what a failed write left is no foreign change", async () => {
  const { kernel, status, sync, run } = passes();
  await run(a);
  kernel.fault = new Error("nft did not finish");
  await run(b);
  kernel.holds = () => Promise.resolve(false);
  await sync.inspect();
  kernel.fault = undefined;
  await run(b);
  expect(status.report()).toMatchObject({ repairs: 0 });
});

describe("of addresses whose pods are unknown", () => {
  const two = config({
    addresses: [address(), address({ ipAddress: "169.254.210.211", namespace: "lost" })],
  });
  const place = { ip: "10.244.1.7", port: 8080 };
  const held: HeldRules = {
    targets: new Map([
      ["169.254.210.210:80/tcp", [place]],
      ["169.254.210.211:80/tcp", [place]],
    ]),
    live: [
      { ipAddress: "169.254.210.210", podIp: "10.244.1.7" },
      { ipAddress: "169.254.210.211", podIp: "10.244.1.7" },
    ],
  };

  function begin(known: string[], rules: HeldRules) {
    const kernel = new FakeKernel();
    const status = new Status();
    const sync = new Syncer({
      ...{ config: two, kernel, status, log: silent, held: () => Promise.resolve(rules) },
      ...{ nodeFacts: () => Promise.resolve(node), conflict: () => {} },
    });
    const sight = { knows: ({ namespace }: Address) => known.includes(namespace), sees: () => true };
    return { kernel, status, run: () => sync.run({ pods: () => [b], sight }, () => {}) };
  }

  const targets = ({ held }: FakeKernel) =>
    held?.bindings.map((binding) => [bindingName(binding), binding.targets.map(({ ip }) => ip).join()]);

  it("the rules lead where they led, and the others follow their pods", async () => {
    const { kernel, status, run } = begin(["monitoring"], held);
    await run();
    expect(targets(kernel)).toEqual([
      ["169.254.210.210:80/tcp", "10.244.1.8"],
      ["169.254.210.210:80/udp", "10.244.1.8"],
      ["169.254.210.211:80/tcp", "10.244.1.7"],
      ["169.254.210.211:80/udp", ""],
    ]);
    expect(kernel.held?.live).toEqual([
      { ipAddress: "169.254.210.210", podIp: "10.244.1.8" },
      { ipAddress: "169.254.210.211", podIp: "10.244.1.7" },
    ]);
    const { ready, reasons, problems } = status.report();
    expect(problems.map(({ code }) => code)).toEqual(["UNKNOWN_PODS", "UNKNOWN_PODS"]);
    // The one that leads nowhere comes first, and it is what makes the node not ready.
    expect([ready, reasons]).toEqual([
      false,
      ["169.254.210.211:80/udp", "169.254.210.211:80/tcp"].map(
        (name) =>
          `${name} goes on as it was, because the pods in lost that match app=echo could not be listed yet`,
      ),
    ]);
  });

  it("nothing is written before anything is known where rules lead somewhere, and else that they lead nowhere", async () => {
    const serving = begin([], held);
    expect([await serving.run(), serving.kernel.held]).toEqual([true, undefined]);
    const empty = begin([], { targets: new Map(), live: [] });
    await empty.run();
    expect(targets(empty.kernel)?.map(([, ips]) => ips)).toEqual(["", "", "", ""]);
    expect(empty.status.report().ready).toBe(false);
  });
});

describe("a write that failed", () => {
  it("is written over, although the state before it is wanted again, and is nobody else's doing", async () => {
    const { kernel, status, run } = passes();
    await run(a);
    kernel.fault = new Error("nft did not finish");
    await run({ ...a, ready: false });
    expect(status.report().ready).toBe(false);
    kernel.fault = undefined;
    await run(a);
    expect(kernel.held?.bindings[0]?.targets).toMatchObject([{ uid: "uid-a" }]);
    expect(status.report()).toMatchObject({ ready: true, repairs: 0 });
  });
});

describe("the interfaces that lead outside", () => {
  it("are logged, and each change of them is a warning", async () => {
    const lines: string[] = [];
    let uplinks = ["eth0"];
    const log = pino({ base: null, timestamp: false }, { write: (line) => void lines.push(line) });
    const { status, sync, run } = passes(() => Promise.resolve({ ...node, uplinks }), log);
    await run(a);
    await sync.inspect();
    uplinks = ["cni0", "eth0"];
    await sync.inspect();
    await sync.inspect();
    const told = lines.map((line) => JSON.parse(line) as { level: number; msg: string });
    expect(told.filter(({ msg }) => msg.includes("outside"))).toEqual([
      { level: 30, msg: "what comes in by eth0 is from outside the node" },
      { level: 40, msg: "what comes in by cni0, eth0 is from outside the node; until now: eth0" },
    ]);
    expect(metricsText(status.report(), [])).toContain("\nmagic_ip_uplink_changes_total 1\n");
  });

  it("are asked for with the pods that are known, at the first look too", async () => {
    const asked: string[][] = [];
    const { sync, run } = passes((podIps: string[] = []) => {
      asked.push(podIps);
      return Promise.resolve(node);
    });
    await run(a, b);
    await sync.inspect();
    expect(asked).toEqual([
      ["10.244.1.7", "10.244.1.8"],
      ["10.244.1.7", "10.244.1.8"],
    ]);
  });

  it("that cannot be read are a reason to doubt, which the report has until they can", async () => {
    let trouble: string | undefined = "the node's interfaces could not be read";
    const { status, sync, run } = passes(() => Promise.resolve({ ...node, ...(trouble && { trouble }) }));
    await run(a);
    expect(status.report()).toMatchObject({ ready: true, reasons: [trouble] });
    trouble = undefined;
    await sync.inspect();
    expect(status.report().reasons).toEqual([]);
  });
});

describe("a write that did a part, as one family of iptables,", () => {
  it("is followed at once by what changes, is not ready, and is tried again as no repair until all is done", async () => {
    const { kernel, status, run } = passes();
    kernel.shortfall = "the rules of IPv6 could not be brought up to date";
    kernel.warning = "an uplink is not guarded";
    for (const pods of [[a], [a], [b]]) expect(await run(...pods)).toBe(true);
    expect(kernel.writes).toBe(3);
    expect(status.report()).toMatchObject({
      ...{ ready: false, repairs: 0, reasons: [kernel.shortfall, kernel.warning] },
      bindings: [{ targets: [{ name: "b" }] }, { targets: [{ name: "b" }] }],
    });
    kernel.shortfall = undefined;
    kernel.warning = undefined;
    await run(b);
    expect(status.report()).toMatchObject({ ready: true, repairs: 0, reasons: [] });
  });
});

describe("a look beside a sync (H45)", () => {
  /** Passes whose looks wait for `go` from the second one on. */
  function held() {
    let go = () => {};
    let isHeld = false;
    const facts = () =>
      isHeld ? new Promise<typeof node>((resolve) => (go = () => resolve(node))) : Promise.resolve(node);
    return { ...passes(facts), hold: () => (isHeld = true), go: () => go() };
  }

  it("takes what a write that failed meanwhile left for no foreign change", async () => {
    const { kernel, status, sync, run, hold, go } = held();
    await run(a);
    hold();
    const look = sync.inspect();
    kernel.fault = new Error("nft did not finish");
    await run(b);
    kernel.holds = () => Promise.resolve(false);
    go();
    await look;
    kernel.fault = undefined;
    await run(b);
    expect(status.report()).toMatchObject({ repairs: 0 });
  });

  it("counts a foreign change after a write that succeeded meanwhile", async () => {
    const { kernel, status, sync, run, hold, go } = held();
    await run(a);
    kernel.fault = new Error("nft did not finish");
    await run(b);
    kernel.fault = undefined;
    hold();
    const look = sync.inspect();
    await run(b);
    kernel.holds = () => Promise.resolve(false);
    go();
    await look;
    await run(a);
    expect(status.report()).toMatchObject({ repairs: 1 });
  });
});
