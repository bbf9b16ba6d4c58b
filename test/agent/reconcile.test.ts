import { beforeEach, describe, expect, it } from "vitest";
import type { Pod } from "../../agent/pod.ts";
import { type Applied, type Kernel, reconcile } from "../../agent/reconcile.ts";
import { config, pod } from "./state.ts";

/** Remembers what it is given, and lists it as it is. */
class RememberingKernel implements Kernel {
  table: string | undefined;
  writes = 0;

  async apply(ruleset: string): Promise<void> {
    this.table = ruleset;
    this.writes++;
  }

  async list(): Promise<string | undefined> {
    return this.table;
  }

  async flows(): Promise<never[]> {
    return [];
  }

  async endFlows(): Promise<void> {}
}

let kernel: RememberingKernel;
let last: Applied | undefined;

async function pass(pods: Pod[], verify = false) {
  const sync = await reconcile({ config: config(), nodeName: "node-1", pods, last, verify }, kernel);
  last = sync.applied;
  return sync.outcome;
}

beforeEach(() => {
  kernel = new RememberingKernel();
  last = undefined;
});

describe("the kernel is written to", () => {
  it("at the start, whatever is there", async () => {
    expect(await pass([])).toBe("changed");
  });

  it("when a binding leads elsewhere", async () => {
    await pass([pod("a")]);
    expect(await pass([pod("b", { ips: ["10.244.1.8"] })])).toBe("changed");
    expect(kernel.table).toContain("10.244.1.8 . 8080");
  });

  it("when a pod leaves the live set, although the target stays", async () => {
    const old = pod("old", { created: "2026-10-01T10:00:00Z", ips: ["10.244.1.8"] });
    await pass([pod("a"), old]);
    expect(await pass([pod("a"), { ...old, phase: "Failed" }])).toBe("changed");
    expect(kernel.table).not.toContain("10.244.1.8");
  });

  it("when somebody else did, and it is looked at", async () => {
    await pass([pod("a")]);
    kernel.table = undefined;
    expect(await pass([pod("a")])).toBe("same");
    expect(await pass([pod("a")], true)).toBe("repaired");
    expect(kernel.table).toContain("10.244.1.7 . 8080");
  });
});

describe("the kernel is left alone", () => {
  it("when nothing changed", async () => {
    await pass([pod("a")]);
    expect(await pass([pod("a")])).toBe("same");
    expect(await pass([pod("a")], true)).toBe("same");
    expect(kernel.writes).toBe(1);
  });

  it("for a pod that runs and is not ready yet, so that its readiness finds the way free", async () => {
    const coming = pod("b", { created: "2026-11-02T00:00:00Z", ready: false, ips: ["10.244.1.8"] });
    await pass([pod("a")]);
    expect(await pass([pod("a"), coming])).toBe("same");
    expect(await pass([pod("a"), { ...coming, ready: true }])).toBe("changed");
    expect(kernel.table).toContain("169.254.210.210 . 10.244.1.8");
  });

  it("until the next look, when such a pod stays unready", async () => {
    const coming = pod("b", { ready: false, ips: ["10.244.1.8"] });
    await pass([pod("a")]);
    await pass([pod("a"), coming]);
    expect(await pass([pod("a"), coming], true)).toBe("changed");
    expect(kernel.table).toContain("169.254.210.210 . 10.244.1.8");
  });
});
