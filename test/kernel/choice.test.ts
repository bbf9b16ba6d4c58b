import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cleanNode } from "../../agent/sync/cleanup.ts";
import { desired } from "../../agent/desired/desired.ts";
import type { Backend } from "../../agent/kernel.ts";
import { chooseBackend, everyBackend } from "../../agent/netfilter/choice.ts";
import { type Command, CommandError } from "../../agent/netfilter/command.ts";
import { Conntrack } from "../../agent/netfilter/conntrack.ts";
import { IptablesBackend } from "../../agent/netfilter/iptables.ts";
import { NetlinkError } from "../../agent/netfilter/netlink.ts";
import { NftablesBackend } from "../../agent/netfilter/nftables.ts";
import type { Tables } from "../../agent/netfilter/tables.ts";
import { node } from "../agent/node-facts.ts";
import { config } from "../agent/state.ts";
import { ensurePackages } from "../support/debian.ts";
import { Namespaces } from "./namespaces.ts";

const namespaces = new Namespaces();
let run: Command;

beforeAll(async () => {
  await ensurePackages(["nftables", "iptables", "conntrack", "iproute2"]);
  await namespaces.add("node");
  run = namespaces.command("node");
});

afterAll(() => namespaces.deleteAll());

/** A node whose image or kernel lacks some tools. */
function without(...missing: string[]): Command {
  return (file, args, input) => {
    if (!missing.some((name) => file.startsWith(name))) return run(file, args, input);
    const message = `${file} is not installed on this node's image`;
    return Promise.reject(new CommandError("MISSING", undefined, "", message, undefined));
  };
}

const chosen = async (command: Command, backend = "auto") => {
  const choice = await chooseBackend(config({ backend }), node, command, namespaces.tables("node"), 1);
  return [choice.backend.name, choice.reason];
};

/** A node whose nft does not finish so many times. */
function hanging(times: number): Command {
  let left = times;
  return (file, args, input) => {
    if (file !== "nft" || left-- <= 0) return run(file, args, input);
    return Promise.reject(new CommandError("TIMEOUT", undefined, "", "nft did not finish", undefined));
  };
}

describe("the backend is", () => {
  it("nftables, where nft takes the rules", async () => {
    expect(await chosen(run)).toEqual(["nftables", "nft takes the rules"]);
  });

  it("nftables, where nft does not finish once or twice (H37)", async () => {
    expect(await chosen(hanging(2))).toEqual(["nftables", "nft takes the rules"]);
  });

  it("iptables, where nft does not finish three times, unless the rules are there already (H37)", async () => {
    expect((await chosen(hanging(3)))[0]).toBe("iptables-nft");
    const { instance } = config();
    await run("nft", ["add", "table", "inet", `magic-ip-${instance}`]);
    try {
      const reason = "the rules are there, although nft did not finish";
      expect(await chosen(hanging(3))).toEqual(["nftables", reason]);
    } finally {
      await run("nft", ["delete", "table", "inet", `magic-ip-${instance}`]);
    }
  });

  it("iptables, where nft is missing, and the reason says so", async () => {
    const [name, reason] = await chosen(without("nft"));
    expect(name).toBe("iptables-nft");
    expect(reason).toMatch(/^nft is not installed on this node's image; /);
  });

  it("iptables-legacy, where the kernel has nothing newer", async () => {
    const [name] = await chosen(without("nft", "iptables-nft", "ip6tables-nft"));
    expect(name).toBe("iptables-legacy");
  });

  it("nftables, where nothing works, so that its failures say what is missing", async () => {
    const [name, reason] = await chosen(without("nft", "iptables", "ip6tables"));
    expect(name).toBe("nftables");
    expect(reason).toMatch(/^nothing works here: nft is not installed/);
  });

  it.each(["nftables", "iptables"])("%s, when the configuration says so", async (backend) => {
    expect((await chosen(run, backend))[0]).toContain(backend);
  });
});

/** A node on which these tools fail with the kernel's or the tool's words. */
function failing(words: Record<string, string>): Command {
  return (file, args, input) => {
    const [, stderr] = Object.entries(words).find(([name]) => file.startsWith(name)) ?? [];
    if (stderr === undefined) return run(file, args, input);
    return Promise.reject(new CommandError("FAILED", 1, stderr, `${file} failed: ${stderr}`, undefined));
  };
}

/** The node's tables, of which one question is answered otherwise. */
function changed(answers: Partial<Tables>): Tables {
  return Object.assign(namespaces.tables("node"), answers);
}

/** Tables that cannot be looked at. */
const unreadable = (message: string) =>
  changed({ instances: () => Promise.reject(new NetlinkError("FAILED", message)) });

describe("what cleans up looks at every backend", () => {
  const names = async (command: Command, tables = namespaces.tables("node")) =>
    (await everyBackend(command, tables)).map(({ name }) => name);
  const all = ["nftables", "iptables-nft", "iptables-legacy"];

  it("that works, and needs no nft for the tables of nftables", async () => {
    expect(await names(run)).toEqual(all);
    expect(await names(without("nft", "iptables-legacy", "ip6tables-legacy"))).toEqual(all.slice(0, 2));
    expect(await names(without("nft", "iptables", "ip6tables"))).toEqual(["nftables"]);
  });

  it("that fails, as nothing is known of its rules then (C13)", async () => {
    expect(await names(run, unreadable("internal error"))).toEqual(all);
    expect(await names(run, unreadable("Operation not permitted"))).toEqual(all);
    expect(await names(without("ip6tables-nft"))).toEqual(all);
  });

  it("that hangs, without waiting for it", async () => {
    const hanging = changed({ instances: () => new Promise(() => {}) });
    const began = performance.now();
    expect(await names(run, hanging)).toEqual(all);
    expect(performance.now() - began).toBeLessThan(4_000);
  });

  it("but those that the kernel has nothing of, or that nobody may use and nobody does", async () => {
    const noNft = "Unable to initialize Netlink socket: Protocol not supported";
    const without = failing({ nft: noNft, "iptables-nft": noNft, "ip6tables-nft": noNft });
    expect(await names(without, unreadable(noNft))).toEqual(["iptables-legacy"]);
    const noRight = "iptables-save: Permission denied (you must be root)";
    expect(await names(failing({ "iptables-legacy": noRight, "ip6tables-legacy": noRight }))).toEqual(
      all.slice(0, 2),
    );
  });
});

describe("a cleanup of the node", () => {
  const flows = new Conntrack(namespaces.netlink("node", "flows"));
  const settings = config({ instance: "test.gone" });
  const write = async (backend: Backend) => backend.write(desired(settings, node, []));
  const clean = async (tables: Tables, instance?: string) => {
    const { text, faults } = await cleanNode(instance, await everyBackend(run, tables), flows);
    return [text, ...faults.map(({ part, error }) => `${part}: ${error.message}`)];
  };
  const nothing = ["nothing to clean up on this node\n"];
  const removed = ["test.gone: removed the rules and flows of 169.254.210.210\n"];

  it.each([undefined, "test.gone"])("removes what every backend has (%s)", async (instance) => {
    const tables = namespaces.tables("node");
    expect(await clean(tables, instance)).toEqual(nothing);
    for (const backend of await everyBackend(run, tables)) {
      await write(backend);
      expect(await clean(tables, instance)).toEqual(removed);
      expect(await clean(tables, instance)).toEqual(nothing);
    }
  });

  it.each([undefined, "test.gone"])(
    "does not call clean what it could not look at (%s, C13)",
    async (instance) => {
      const tables = namespaces.tables("node");
      await write(new NftablesBackend(run, tables));
      await write(new IptablesBackend("nft", run));
      const failure = "nftables: internal error";
      expect(await clean(unreadable("internal error"), instance)).toEqual([...removed, failure]);
      expect(await clean(unreadable("internal error"), instance)).toEqual(["", failure]);
      expect(await clean(tables, instance)).toEqual(removed);
    },
  );

  it("does not believe a tool that says that it removed the rules", async () => {
    const tables = namespaces.tables("node");
    await write(new NftablesBackend(run, tables));
    const lying = changed({ remove: () => Promise.resolve() });
    expect(await clean(lying)).toEqual(["", "nftables: the rules are still there after they were removed"]);
    expect(await clean(tables)).toEqual(removed);
  });
});
