import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chooseBackend, everyBackend } from "../../agent/netfilter/choice.ts";
import { type Command, CommandError } from "../../agent/netfilter/command.ts";
import { node } from "../agent/node-facts.ts";
import { config } from "../agent/state.ts";
import { ensurePackages } from "../support/debian.ts";
import { Namespaces } from "./namespaces.ts";

const namespaces = new Namespaces();
let run: Command;

beforeAll(async () => {
  await ensurePackages(["nftables", "iptables", "iproute2"]);
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
  const choice = await chooseBackend(config({ backend }), node, command);
  return [choice.backend.name, choice.reason];
};

describe("the backend is", () => {
  it("nftables, where nft takes the rules", async () => {
    expect(await chosen(run)).toEqual(["nftables", "nft takes the rules"]);
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

it("what cleans up looks at every backend that works, and at nft's failure when none does", async () => {
  const names = async (command: Command) => (await everyBackend(command)).map(({ name }) => name);
  expect(await names(run)).toEqual(["nftables", "iptables-nft", "iptables-legacy"]);
  expect(await names(without("nft", "iptables-legacy", "ip6tables-legacy"))).toEqual(["iptables-nft"]);
  expect(await names(without("nft", "iptables", "ip6tables"))).toEqual(["nftables"]);
});
