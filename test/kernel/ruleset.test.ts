import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { parseConfig } from "../../agent/config.ts";
import { desired } from "../../agent/desired.ts";
import type { Pod } from "../../agent/pod.ts";
import { ruleset } from "../../agent/ruleset/nftables.ts";
import { address, config, pod } from "../agent/state.ts";
import { ensurePackages } from "../support/debian.ts";
import { expectGolden } from "../support/golden.ts";

beforeAll(() => ensurePackages(["nftables"]));

const rulesetOf = (pods: Pod[], of = config()) => ruleset(of.instance, desired(of, "node-1", pods));

/** What a fresh kernel lists after it was given these transactions, one after the other, some of which may fail. */
async function kernelLists(...transactions: string[]): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "magic-ip-"));
  transactions.forEach((text, index) => {
    writeFileSync(join(directory, String(index)), text);
  });
  const script = 'for file in "$0"/*; do nft -f "$file"; done; nft -s list ruleset';
  const { stdout } = await execa("unshare", ["--net", "sh", "-c", script, directory]);
  return `${stdout}\n`;
}

const golden = (name: string) => new URL(`golden/${name}.nft`, import.meta.url);
const twoAddresses = config({
  addresses: [
    address(),
    address({ ipAddress: "169.254.210.211", selector: "app=zipkin", ports: [{ port: 9411 }] }),
  ],
});

describe("the kernel's own listing of", () => {
  it("an address with a target", async () => {
    expectGolden(golden("one-target"), await kernelLists(rulesetOf([pod("a")])));
  });

  it("an address without a target", async () => {
    expectGolden(golden("no-target"), await kernelLists(rulesetOf([])));
  });

  it("two addresses, one of them with a pod that drains", async () => {
    const draining = pod("b", { terminating: true, ips: ["10.244.1.8"] });
    const zipkin = pod("z", { labels: { app: "zipkin" }, ips: ["10.244.1.9"] });
    expectGolden(
      golden("two-addresses"),
      await kernelLists(rulesetOf([pod("a"), draining, zipkin], twoAddresses)),
    );
  });
});

describe("a transaction", () => {
  it("replaces whatever the table held", async () => {
    const fresh = await kernelLists(rulesetOf([pod("a")]));
    const foreign =
      "table inet magic-ip-test.echo { chain x { type nat hook prerouting priority -150; }; set ips4 { type ipv6_addr; }; }";
    expect(await kernelLists(foreign, rulesetOf([], twoAddresses), rulesetOf([pod("a")]))).toBe(fresh);
  });

  it("that fails changes nothing", async () => {
    const good = rulesetOf([pod("a")]);
    const bad = `${rulesetOf([])}\nadd rule inet nowhere chain accept`;
    expect(await kernelLists(good, bad)).toBe(await kernelLists(good));
  });
});

it("what plan prints for the fixtures is accepted by nft", async () => {
  const fixture = (name: string) => new URL(`../fixtures/${name}`, import.meta.url).pathname;
  const files = ["--config", fixture("two-addresses.yaml"), "--pods", fixture("pods.yaml")];
  const planned = await execa("npm", ["run", "-s", "plan", "--", ...files], { stderr: "ignore" });
  expect(planned.stdout).toContain("169.254.210.211");
  await execa("unshare", ["--net", "nft", "-c", "-f", "-"], { input: planned.stdout });
});

it("nothing of a pod but its IP and port reaches nft's text", () => {
  const hostile = pod('x"; flush ruleset; #', {
    labels: { app: "echo", evil: "\n}" },
    uid: "}\n",
    namedPorts: [{ name: "}", protocol: "tcp", port: 1 }],
  });
  expect(rulesetOf([hostile])).toBe(rulesetOf([pod("x")]));
  expect(rulesetOf([pod("x", { ips: ["10.0.0.1; flush ruleset"] })])).toBe(rulesetOf([]));
});

it("a thousand addresses with ten ports each load in one transaction", async () => {
  const addresses = Array.from({ length: 1000 }, (_, index) => ({
    ipAddress: `169.254.${200 + Math.floor(index / 250)}.${(index % 250) + 1}`,
    selector: "app=echo",
    namespace: "monitoring",
    ports: Array.from({ length: 10 }, (_, port) => ({ port: 8000 + port })),
  }));
  const many = parseConfig(JSON.stringify({ instance: "many", addresses }));
  const started = Date.now();
  expect(await kernelLists(rulesetOf([pod("a")], many))).toContain("169.254.203.250 . tcp . 8009");
  expect(Date.now() - started).toBeLessThan(10_000);
});
