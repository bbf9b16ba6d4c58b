import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { desired } from "../../agent/desired/desired.ts";
import type { DesiredState } from "../../agent/desired/state.ts";
import { FlowPass } from "../../agent/sync/flowpass.ts";
import type { Ended, FlowKind, Flows } from "../../agent/kernel.ts";
import type { Pod } from "../../agent/kubernetes/pod.ts";
import { Status } from "../../agent/status/status.ts";
import { node } from "./node-facts.ts";
import { address, config, pod } from "./state.ts";

const b = pod("b", { ips: ["10.244.1.8"], created: "2026-11-02T00:00:00Z" });
const other = "169.254.210.211";
const addresses = [address(), address({ ipAddress: other, selector: "app=web" })];
const state = (...pods: Pod[]) => desired(config({ addresses }), node, pods);

/** Passes that last until they are stopped or told to finish. */
class FakeFlows implements Flows {
  readonly passes: { kind: FlowKind; ips: string[] }[] = [];
  readonly tables: string[][] = [];
  fault: Error | undefined;
  stops = 0;
  lasts = false;
  finish: (stopped: boolean) => void = () => {};

  pass(kind: FlowKind, table: string[]): Promise<Ended> {
    this.passes.push({ kind, ips: table.flatMap((line) => /^ip (.*)/.exec(line)?.[1] ?? []) });
    this.tables.push(table);
    if (this.fault !== undefined) return Promise.reject(this.fault);
    const ended = { ended: { udp: 1 }, milliseconds: 40 };
    if (!this.lasts) return Promise.resolve({ ...ended, stopped: false });
    return new Promise((resolve) => {
      this.finish = (stopped) => resolve({ ...ended, stopped });
    });
  }

  stop(): void {
    this.stops++;
    this.finish(true);
  }
}

function begin(before: DesiredState["bindings"] = []) {
  const flows = new FakeFlows();
  const status = new Status();
  const clock = { now: 0 };
  const log = pino({ level: "silent" });
  const flow = new FlowPass({ flows, before, status, log, now: () => clock.now });
  const held = {
    state: undefined as DesiredState | undefined,
    claims: [],
    states: () => [] as DesiredState[],
  };
  const write = (next: DesiredState, during = () => Promise.resolve()) =>
    flow.around(next, async () => {
      held.states = () => [...(held.state === undefined ? [] : [held.state]), next];
      await during();
      held.state = next;
      held.states = () => [next];
    });
  return { flows, status, clock, flow, held, write };
}

describe("a pass over the flows", () => {
  it("looks at all magic IPs at the start and each minute, and else at those that changed", async () => {
    const { flows, flow, held, write, clock } = begin();
    await write(state(pod("a")));
    const run = () => flow.run("datagrams", held);
    await run();
    await run();
    await write(state(b));
    await run();
    await run();
    clock.now = 60_000;
    await run();
    const all = ["169.254.210.210", other];
    expect(flows.passes.map(({ ips }) => ips)).toEqual([all, ["169.254.210.210"], all]);
  });

  it("looks at the datagrams of what changed again, 1 to 2 s and 5 to 6 s after the write", async () => {
    const { flows, flow, held, write, clock } = begin();
    await write(state(pod("a")));
    for (; clock.now < 10_000; clock.now += 1_000) await flow.run("datagrams", held);
    flows.passes.length = 0;
    await write(state(b));
    const looked: number[] = [];
    for (; clock.now < 20_000; clock.now += 500) {
      const before = flows.passes.length;
      await flow.run("datagrams", held);
      if (flows.passes.length > before) looked.push(clock.now);
      expect(flow.datagrams.maximum).toBeLessThanOrEqual(60_000);
    }
    expect(looked).toEqual([10_000, 11_000, 15_000]);
    expect(flows.passes.map(({ ips }) => ips)).toEqual(Array(3).fill(["169.254.210.210"]));
  });

  it("is not asked for again and again while a write takes longer than the next look is away", async () => {
    const { flow, held, write, clock } = begin();
    await write(state(pod("a")));
    await write(state(b), async () => {
      clock.now = 7_000;
      await flow.run("datagrams", held);
      expect(flow.datagrams.maximum).toBeGreaterThan(1_000);
    });
  });

  it("looks at all datagrams again 1 to 2 s and 5 to 6 s after the first write", async () => {
    const { flows, flow, held, write, clock } = begin();
    await write(state(pod("a")));
    for (; clock.now < 10_000; clock.now += 500) await flow.run("datagrams", held);
    expect(flows.passes.map(({ ips }) => ips)).toEqual(Array(3).fill(["169.254.210.210", other]));
  });

  it("looks at all again after a write that changed nothing, because the rules were repaired, or failed", async () => {
    const { flows, flow, held, write } = begin();
    await write(state(b));
    await flow.run("datagrams", held);
    await write(state(b));
    await flow.run("datagrams", held);
    const failing = write(state(pod("a")), () => Promise.reject(new Error("nft did not finish")));
    await failing.catch(() => {});
    await flow.run("datagrams", held);
    await write(state(pod("a")));
    await flow.run("datagrams", held);
    expect(flows.passes.map(({ ips }) => ips.length)).toEqual([2, 2, 1, 2]);
  });

  it("is stopped before a write, none begins beside it, and the magic IPs are looked at after it", async () => {
    const { flows, flow, held, write } = begin();
    await write(state(pod("a")));
    flows.lasts = true;
    const stopped = flow.run("datagrams", held);
    await new Promise(setImmediate);
    await write(state(b), async () => {
      expect(flows.stops).toBe(1);
      expect(await flow.run("datagrams", held)).toBe(true);
      expect(flows.passes).toHaveLength(1);
    });
    expect(await stopped).toBe(true);
    flows.lasts = false;
    await flow.run("datagrams", held);
    expect(flows.passes.map(({ ips }) => ips.length)).toEqual([2, 2]);
    expect(flows.tables[1]).toContain("target 10.244.1.8 8080");
  });

  it("that was stopped three times is waited for, for at most half a second", async () => {
    const { flows, flow, held, write } = begin();
    await write(state(pod("a")));
    flows.lasts = true;
    const waits: number[] = [];
    for (let round = 0; round < 5; round++) {
      void flow.run("datagrams", held);
      await new Promise(setImmediate);
      const began = performance.now();
      if (round === 3) setTimeout(() => flows.finish(false), 100);
      await write(state(round % 2 === 0 ? b : pod("a")));
      waits.push(performance.now() - began);
    }
    expect(waits[3]).toBeGreaterThan(90);
    expect(waits[3]).toBeLessThan(500);
    expect(flows.stops).toBe(4);
  });

  it("over connections pauses ten times as long as it took", async () => {
    const { flow, held, write } = begin();
    await write(state(b));
    expect(flow.connections.minimum).toBe(50);
    await flow.run("connections", held);
    expect(flow.connections.minimum).toBe(400);
    expect(flow.datagrams.minimum).toBe(50);
  });

  it("that fails is named until both kinds are looked at again", async () => {
    const { flows, flow, held, write, status } = begin();
    await write(state(b));
    flows.fault = new Error("magic-ip-netlink was ended by SIGKILL");
    expect(await flow.run("connections", held)).toBe(false);
    flows.fault = undefined;
    expect(await flow.run("datagrams", held)).toBe(true);
    expect(status.report().reasons).toContainEqual(
      "stale flows could not be ended: magic-ip-netlink was ended by SIGKILL",
    );
    expect(await flow.run("connections", held)).toBe(true);
    expect(status.report().reasons.join()).not.toContain("stale flows");
  });
});

describe("what an earlier configuration had", () => {
  it("loses its datagrams at once and its connections after 30 s, when others may have taken it over", async () => {
    const [binding] = state(b).bindings;
    if (binding === undefined) throw new Error("there is a binding");
    const { flows, flow, held, write, clock } = begin([{ ...binding, port: 99, endPort: 99 }]);
    await write(state(b));
    const gone = async () => {
      for (const kind of ["datagrams", "connections"] as const) await flow.run(kind, held);
      return flows.tables.splice(0).map((table) => table.filter((line) => line.startsWith("gone")));
    };
    expect(await gone()).toEqual([["gone 6 99 99 rest"], ["gone 6 99 99 rest"]]);
    clock.now = 60_000;
    expect(await gone()).toEqual([["gone 6 99 99 all"], ["gone 6 99 99 all"]]);
    clock.now = 120_000;
    expect(await gone()).toEqual([[], []]);
  });
});
