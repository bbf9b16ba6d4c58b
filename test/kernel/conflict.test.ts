import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Config } from "../../agent/config.ts";
import { NftablesBackend } from "../../agent/netfilter/nftables.ts";
import type { Command } from "../../agent/netfilter/command.ts";
import { reconcile } from "../../agent/reconcile.ts";
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
