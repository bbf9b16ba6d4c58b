import { describe, expect, it } from "vitest";
import { desired } from "../../agent/desired/desired.ts";
import type { Claim, Sync } from "../../agent/desired/state.ts";
import type { Pod } from "../../agent/kubernetes/pod.ts";
import { Status } from "../../agent/status/status.ts";
import { node } from "./node-facts.ts";
import { address, config, pod } from "./state.ts";

const one = config({ addresses: [address({ ports: [{ port: 8126 }] })] });

function sync(pods: Pod[], of = one, claims: Claim[] = []): Sync {
  return { state: desired(of, node, pods, claims), outcome: "changed" };
}

describe("one line says what changed", () => {
  it("where a binding leads, and where it led before", () => {
    const status = new Status();
    expect(status.synced(sync([pod("a")]))).toEqual([
      "169.254.210.210:8126/tcp → monitoring/a 10.244.1.7:8126",
    ]);
    expect(status.synced(sync([pod("a")]))).toEqual([]);
    expect(status.synced(sync([pod("b", { ips: ["10.244.1.8"] })]))).toEqual([
      "169.254.210.210:8126/tcp → monitoring/b 10.244.1.8:8126 (was monitoring/a 10.244.1.7:8126)",
    ]);
  });

  it("why it leads nowhere", () => {
    const status = new Status();
    status.synced(sync([pod("a")]));
    expect(status.synced(sync([pod("a", { ready: false })]))).toEqual([
      "169.254.210.210:8126/tcp has no target on this node: monitoring/a is not ready; refused (was monitoring/a 10.244.1.7:8126)",
    ]);
  });

  it("what becomes of packets where they are not refused", () => {
    const dropping = config({ addresses: [address({ whenNoTarget: "Drop", ports: [{ port: 8126 }] })] });
    expect(new Status().synced(sync([], dropping))[0]).toMatch(/; dropped$/);
  });

  it("all targets of a load balanced address, and nothing when only their order differs", () => {
    const spread = config({ addresses: [address({ loadBalance: true, ports: [{ port: 8126 }] })] });
    const a = pod("a");
    const b = pod("b", { ips: ["10.244.1.8"] });
    const status = new Status();
    expect(status.synced(sync([a, b], spread))[0]).toBe(
      "169.254.210.210:8126/tcp → monitoring/b 10.244.1.8:8126, monitoring/a 10.244.1.7:8126",
    );
    expect(status.synced(sync([{ ...a, created: "2026-11-03T00:00:00Z" }, b], spread))).toEqual([]);
  });

  it("a pod of the same name that is another one", () => {
    const status = new Status();
    status.synced(sync([pod("a")]));
    expect(status.synced(sync([pod("a", { uid: "another" })]))).toHaveLength(1);
  });
});

describe("ready", () => {
  it("is not before the first sync, and says so", () => {
    expect(new Status().report()).toMatchObject({
      ready: false,
      reasons: ["the first sync has not reached the kernel yet"],
    });
  });

  it("is not before it either where older rules hold, and tells how old they are", () => {
    const status = new Status("nftables", new Date("2026-11-23T03:00:00Z"));
    expect(status.report()).toMatchObject({
      ready: false,
      reasons: [
        "the first sync has not reached the kernel yet; the rules of 2026-11-23T03:00:00.000Z hold meanwhile",
      ],
    });
    status.synced(sync([]));
    expect(status.report().reasons).toEqual([]);
  });

  it("is after a sync, even of an address without a target", () => {
    const status = new Status();
    status.synced(sync([]));
    const { ready, problems } = status.report();
    expect(ready).toBe(true);
    expect(problems).toHaveLength(1);
  });

  it("ends with a sync that fails and comes back with one that does not", () => {
    const status = new Status();
    status.synced(sync([]));
    expect(status.failed("nft is not installed")).toBe(true);
    expect(status.failed("nft is not installed")).toBe(false);
    expect(status.report()).toMatchObject({ ready: false, reasons: ["nft is not installed"] });
    status.synced(sync([]));
    expect(status.report().ready).toBe(true);
  });

  it("is not while another installation has one of the addresses", () => {
    const status = new Status();
    const claim = {
      instance: "other",
      ipAddress: "169.254.210.210",
      protocol: "tcp",
      port: 8126,
      endPort: 8126,
    } as const;
    status.synced(sync([pod("a")], one, [claim]));
    expect(status.report()).toMatchObject({ ready: false, bindings: [] });
    expect(status.report().reasons[0]).toContain("belongs to the installation other");
    status.synced(sync([pod("a")]));
    expect(status.report().ready).toBe(true);
  });

  it("is not while something on the node keeps packets from the addresses", () => {
    const status = new Status();
    status.synced(sync([]));
    status.blocked(["IPv4 forwarding is off"]);
    expect(status.report()).toMatchObject({ ready: false, reasons: ["IPv4 forwarding is off"] });
    status.blocked([]);
    expect(status.report().ready).toBe(true);
  });

  it("stays while the API server is away, and says that it is", () => {
    const status = new Status();
    status.synced(sync([]));
    status.trouble("api", "the API server cannot be reached");
    expect(status.report()).toMatchObject({ ready: true, reasons: ["the API server cannot be reached"] });
    status.trouble("api", undefined);
    expect(status.report().reasons).toEqual([]);
  });
});
