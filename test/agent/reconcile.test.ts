import { beforeEach, describe, expect, it } from "vitest";
import type { Pod } from "../../agent/kubernetes/pod.ts";
import type { DesiredState } from "../../agent/desired/state.ts";
import type { Backend } from "../../agent/kernel.ts";
import { reconcile } from "../../agent/sync/reconcile.ts";
import { node } from "./node-facts.ts";
import { config, pod } from "./state.ts";

const settings = config();

/** Remembers what it is given, as long as nobody else touches it. */
class RememberingRules implements Pick<Backend, "write"> {
  state: DesiredState | undefined;
  writes = 0;

  async write(state: DesiredState): Promise<void> {
    this.state = state;
    this.writes++;
  }

  get targets(): (string | undefined)[] {
    return this.state?.bindings.map(({ targets }) => targets[0]?.ip) ?? [];
  }
}

let rules: RememberingRules;
let last: DesiredState | undefined;

async function pass(pods: Pod[], settle = false, on = node) {
  const intact = rules.state !== undefined;
  const sync = await reconcile({ config: settings, node: on, pods, claims: [], last, intact, settle }, rules);
  last = sync.state;
  return sync.outcome;
}

beforeEach(() => {
  rules = new RememberingRules();
  last = undefined;
});

describe("the kernel is written to", () => {
  it("at the start, whatever is there", async () => {
    expect(await pass([])).toBe("changed");
  });

  it("when a binding leads elsewhere", async () => {
    await pass([pod("a")]);
    expect(await pass([pod("b", { ips: ["10.244.1.8"] })])).toBe("changed");
    expect(rules.targets).toEqual(["10.244.1.8", "10.244.1.8"]);
  });

  it("when a pod leaves the live set, although the target stays", async () => {
    const old = pod("old", { created: "2026-10-01T10:00:00Z", ips: ["10.244.1.8"] });
    await pass([pod("a"), old]);
    expect(await pass([pod("a"), { ...old, phase: "Failed" }])).toBe("changed");
    expect(rules.state?.live).toHaveLength(1);
  });

  it("when somebody else did, and it is looked at", async () => {
    await pass([pod("a")]);
    rules.state = undefined;
    expect(await pass([pod("a")])).toBe("repaired");
    expect(rules.targets[0]).toBe("10.244.1.7");
  });
});

it("the kernel is written to when the node's uplinks change", async () => {
  await pass([pod("a")]);
  expect(await pass([pod("a")], true, { ...node, uplinks: ["eth1"] })).toBe("changed");
  expect(rules.state?.uplinks).toEqual(["eth1"]);
});

describe("the kernel is left alone", () => {
  it("when nothing changed", async () => {
    await pass([pod("a")]);
    expect(await pass([pod("a")])).toBe("same");
    expect(await pass([pod("a")], true)).toBe("same");
    expect(rules.writes).toBe(1);
  });

  it("for a pod that runs and is not ready yet, so that its readiness finds the way free", async () => {
    const coming = pod("b", { created: "2026-11-02T00:00:00Z", ready: false, ips: ["10.244.1.8"] });
    await pass([pod("a")]);
    expect(await pass([pod("a"), coming])).toBe("same");
    expect(await pass([pod("a"), { ...coming, ready: true }])).toBe("changed");
    expect(rules.state?.live).toContainEqual({ ipAddress: "169.254.210.210", podIp: "10.244.1.8" });
  });

  it("until the next look, when such a pod stays unready", async () => {
    const coming = pod("b", { ready: false, ips: ["10.244.1.8"] });
    await pass([pod("a")]);
    await pass([pod("a"), coming]);
    expect(await pass([pod("a"), coming], true)).toBe("changed");
    expect(rules.state?.live).toContainEqual({ ipAddress: "169.254.210.210", podIp: "10.244.1.8" });
  });
});

describe("a port that two installations hold, because they came at the same moment,", () => {
  const claim = { ipAddress: "169.254.210.210", protocol: "tcp", port: 80, endPort: 80 } as const;
  const claimed = async (by: string) => {
    await pass([pod("a")]);
    const given = { config: settings, node, pods: [pod("a")], claims: [{ instance: by, ...claim }] };
    const sync = await reconcile({ ...given, last, intact: true, settle: true }, rules);
    return sync.state.problems.map(({ code }) => code);
  };

  it("is given up by the one whose name comes last", async () => {
    expect(await claimed("a.first")).toEqual(["CONFLICT"]);
  });

  it("stays with the other", async () => {
    expect(await claimed("z.last")).toEqual([]);
  });
});
