import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { type Config, parseConfig } from "../../agent/config/config.ts";
import { desired } from "../../agent/desired/desired.ts";
import type { Pod } from "../../agent/kubernetes/pod.ts";
import { difference, ruleset } from "../../agent/ruleset/nftables/table.ts";
import { node } from "../agent/node-facts.ts";
import { address, config, pod } from "../agent/state.ts";
import { ensurePackages } from "../support/debian.ts";
import { expectGolden } from "../support/golden.ts";

beforeAll(() => ensurePackages(["nftables"]));

const rulesetOf = (pods: Pod[], of = config(), on = node) => ruleset(desired(of, on, pods));

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

describe("the kernel's own listing of", () => {
  const oneTcp = [{ port: 80, targetPort: 8080 }];
  const everything = config({
    addresses: [
      address({ ipv6Address: "fd00:210::210", loadBalance: true, whenNoTarget: "Drop", ports: oneTcp }),
      address({
        ports: [
          { port: 8000, endPort: 8010 },
          { port: 3868, protocol: "SCTP" },
        ],
        whenNoTarget: "Pass",
      }),
      address({ ipAddress: "169.254.210.211", ipv6Address: "fd00:210::211", ports: [] }),
      address({ ipAddress: "169.254.210.211", selector: "app=web", ports: [{ port: 80 }] }),
    ],
  });
  const pods = [
    pod("a", { ips: ["10.244.1.7", "fd00:9::7"] }),
    pod("b", { ips: ["10.244.1.8", "fd00:9::8"], created: "2026-11-02T00:00:00Z" }),
  ];

  it("everything that an address can be, where bridges bypass netfilter", async () => {
    const bypassing = { ...node, bridgeNetfilter: { ipv4: false, ipv6: false } };
    expectGolden(golden("everything"), await kernelLists(rulesetOf(pods, everything, bypassing)));
  });

  it("it has no intervals in sets, which the kernel shows later than the rest of a transaction", async () => {
    // pipapo and rbtree, as the kernel calls them; the others are hashed.
    expect(await kernelLists(rulesetOf(pods, everything))).not.toContain("interval");
  });

  it("it can be loaded again, as those do who save the whole ruleset", async () => {
    const listed = await kernelLists(rulesetOf(pods, everything));
    expect(await kernelLists(listed)).toBe(listed);
  });

  it("an address that neither the node's processes nor packets from outside are guarded for", async () => {
    const open = config({ hostClients: false, outsideGuard: false, masquerade: "always" });
    expectGolden(golden("open"), await kernelLists(rulesetOf([pod("a")], open)));
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
  const uplinks = (...names: string[]) => rulesetOf([], config(), { ...node, uplinks: names });
  expect(uplinks("eth1", 'e"}; flush ruleset; {', "a+", "ä")).toBe(uplinks("eth1"));
  expect(uplinks('"')).toBe(uplinks());
});

it("a change of one target among ten thousand bindings is a transaction of a few lines", () => {
  const many = manyAddresses();
  const web = (name: string, ip: string) => pod(name, { labels: { app: "web" }, ips: [ip] });
  const before = desired(many, node, [pod("a"), web("b", "10.244.1.8")]);
  const after = desired(many, node, [pod("a"), web("c", "10.244.1.9")]);
  const changes = difference(before, after) ?? [];
  expect(changes.length).toBeGreaterThan(0);
  expect(changes.length).toBeLessThan(10);
  expect(JSON.stringify(changes).length).toBeLessThan(5_000);
  expect(difference(after, after)).toEqual([]);
  expect(difference(before, desired(config(), node, []))).toBeUndefined();
});

it("a thousand addresses with ten ports each load in one transaction", async () => {
  const many = manyAddresses();
  const started = Date.now();
  expect(await kernelLists(rulesetOf([pod("a")], many))).toContain("169.254.203.250 . tcp . 8009");
  expect(Date.now() - started).toBeLessThan(10_000);
});

/** The first of them is for pods with another label. */
function manyAddresses(): Config {
  const addresses = Array.from({ length: 1000 }, (_, index) => ({
    ipAddress: `169.254.${200 + Math.floor(index / 250)}.${(index % 250) + 1}`,
    selector: index === 0 ? "app=web" : "app=echo",
    namespace: "monitoring",
    ports: Array.from({ length: 10 }, (_, port) => ({ port: 8000 + port })),
  }));
  return parseConfig(JSON.stringify({ instance: "many", addresses }));
}
