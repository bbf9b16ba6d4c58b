import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Config } from "../../agent/config.ts";
import { desired } from "../../agent/desired.ts";
import { parseFlows, staleFlows } from "../../agent/flows.ts";
import type { Pod } from "../../agent/pod.ts";
import { removal, ruleset } from "../../agent/ruleset/nftables.ts";
import { config, pod } from "../agent/state.ts";
import { TestNode } from "./node.ts";

const magicIp = "169.254.210.210";

let node: TestNode;
let old: Pod;
let young: Pod;

/** Brings the node's kernel to what the agent would make of these pods. */
async function sync(pods: Pod[], of: Config = config()): Promise<void> {
  await node.load(ruleset(of.instance, desired(of, "node-1", pods)));
}

beforeAll(async () => {
  node = await TestNode.create();
  await node.addPod("client");
  old = pod("old", { ips: [await node.addPod("old")] });
  young = pod("young", { ips: [await node.addPod("young")], created: "2026-11-02T00:00:00Z" });
  await node.serve("old", 8080);
  await node.serve("young", 8080);
});

afterAll(() => node?.remove());

beforeEach(async () => {
  await node.in("node", ["nft", "flush", "ruleset"]);
  await node.in("node", ["conntrack", "-F"]);
});

describe.each(["tcp", "udp"] as const)("a client that calls the magic IP over %s", (transport) => {
  it.each(["client", "node"])("from the %s reaches the target", async (from) => {
    await sync([old]);
    expect(await node.call(from, transport, magicIp, 80)).toMatchObject({ pod: "old" });
  });

  it("is seen by the target with its own address", async () => {
    await sync([old]);
    const { client } = await node.call("client", transport, magicIp, 80);
    expect(client).toBe("10.9.0.2");
  });

  it("may be the target itself", async () => {
    await sync([old]);
    expect(await node.call("old", transport, magicIp, 80)).toMatchObject({ pod: "old" });
  });

  it.each(["client", "node"])(
    "from the %s is refused at once without a target, and nothing leaks",
    async (from) => {
      await sync([]);
      const leaked = await node.leaks(magicIp, async () => {
        const { error, milliseconds } = await node.call(from, transport, magicIp, 80);
        expect(error).toBe("ECONNREFUSED");
        expect(milliseconds).toBeLessThan(1_000);
      });
      expect(leaked).toBe(0);
    },
  );

  it("is refused on a port that is not configured, and nothing leaks", async () => {
    await sync([old]);
    const leaked = await node.leaks(magicIp, async () => {
      expect(await node.call("client", transport, magicIp, 81)).toMatchObject({ error: "ECONNREFUSED" });
    });
    expect(leaked).toBe(0);
  });

  it("reaches the newer pod after a swap, and misses nothing on the way but a datagram in flight", async () => {
    await sync([old]);
    const calls = node.callAll("client", transport, magicIp, 80, 5);
    await calls.next(({ pod }) => pod === "old");
    await sync([old, young]);
    if (transport === "udp") await endStaleFlows([old, young]);
    await calls.next(({ pod }) => pod === "young");
    const answers = await calls.end();
    const missed = answers.filter(({ error }) => error !== undefined);
    // The answer to a datagram that is under way when its flow ends has no flow to come back by.
    expect(missed.length).toBeLessThanOrEqual(transport === "udp" ? 1 : 0);
    const afterwards = answers.slice(answers.findIndex(({ pod }) => pod === "young"));
    if (transport === "udp") expect(afterwards.filter(({ pod }) => pod === "old")).toEqual([]);
  });

  it("wins over a nat table at kube-proxy's priority that claims the same address, loaded before or after", async () => {
    const other = `table ip other { chain c { type nat hook prerouting priority -100; ip daddr ${magicIp} dnat to 10.9.0.99; }; }`;
    await node.load(other);
    await sync([old]);
    expect(await node.call("client", transport, magicIp, 80)).toMatchObject({ pod: "old" });
    await node.load(`delete table ip other; ${other}`);
    expect(await node.call("client", transport, magicIp, 80)).toMatchObject({ pod: "old" });
  });
});

describe("flows that a client keeps", () => {
  it("UDP is cut in the transaction that removes the target, not when conntrack is asked", async () => {
    await sync([old]);
    const calls = node.callAll("client", "udp", magicIp, 80, 20);
    await calls.next(({ pod }) => pod === "old");
    await sync([]);
    const afterwards = Date.now();
    await calls.next(({ error }) => error !== undefined);
    await calls.next(({ error }) => error !== undefined);
    const later = (await calls.end()).filter(({ at }) => (at ?? 0) > afterwards);
    expect(later.filter(({ pod }) => pod !== undefined)).toEqual([]);
  });

  it("UDP that found no target moves to the one that comes, without conntrack's help", async () => {
    await sync([]);
    const calls = node.callAll("client", "udp", magicIp, 80, 20);
    // The kernel limits the rate of ICMP errors, so some of the first calls are refused and some see nothing.
    await calls.next(({ error }) => error !== undefined);
    await sync([old]);
    expect(await calls.next(({ pod }) => pod !== undefined)).toMatchObject({ pod: "old" });
    await calls.end();
  });

  it("nothing of another destination is touched", async () => {
    await sync([old]);
    const [ip = ""] = young.ips;
    expect(await node.call("client", "tcp", ip, 8080)).toMatchObject({ pod: "young" });
    expect(await node.call("node", "udp", ip, 8080)).toMatchObject({ pod: "young" });
  });
});

describe("two installations on one node", () => {
  it("may share a magic IP on different ports", async () => {
    const other = config({
      instance: "other.echo",
      addresses: [
        {
          ipAddress: magicIp,
          namespace: "monitoring",
          selector: "app=echo",
          ports: [{ port: 81, targetPort: 8080 }],
        },
      ],
    });
    await sync([old]);
    await sync([young], other);
    expect(await node.call("client", "tcp", magicIp, 80)).toMatchObject({ pod: "old" });
    expect(await node.call("client", "tcp", magicIp, 81)).toMatchObject({ pod: "young" });
    await node.load(removal("other.echo"));
    expect(await node.call("client", "tcp", magicIp, 80)).toMatchObject({ pod: "old" });
  });
});

describe("removal", () => {
  it("leaves the ruleset as it was before, byte for byte, and succeeds when there is nothing", async () => {
    await node.load("table ip other { chain c { type nat hook prerouting priority -100; }; }");
    const before = await listRuleset();
    await sync([old]);
    expect(await listRuleset()).not.toBe(before);
    await node.load(removal("test.echo"));
    expect(await listRuleset()).toBe(before);
    await node.load(removal("test.echo"));
    expect(await listRuleset()).toBe(before);
  });
});

async function listRuleset(): Promise<string> {
  return (await node.in("node", ["nft", "list", "ruleset"])).stdout;
}

async function endStaleFlows(pods: Pod[]): Promise<void> {
  const { stdout } = await node.in("node", ["conntrack", "-L", "-f", "ipv4"]);
  for (const { replyIp } of staleFlows(parseFlows(stdout), desired(config(), "node-1", pods))) {
    await node.in("node", ["conntrack", "-D", "--orig-dst", magicIp, "--reply-src", replyIp, "-p", "udp"]);
  }
}
