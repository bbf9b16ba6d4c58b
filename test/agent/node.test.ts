import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readNodeFacts, readText } from "../../agent/netfilter/node.ts";
import {
  parseIpv4Addresses,
  parseIpv4Routes,
  parseIpv6Routes,
  routesTo,
  uplinks,
} from "../../agent/desired/node.ts";

const header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";

/** Lines of /proc/net/route, as a kernel on amd64 prints them. */
function ipv4Routes(...lines: string[]) {
  return parseIpv4Routes([header, ...lines].join("\n"), true);
}

const line4 = (name: string, destination: string, mask: string, flags = "0001") =>
  `${name}\t${destination}\t00000000\t${flags}\t0\t0\t0\t${mask}\t0\t0\t0      `;

const line6 = (name: string, destination: string, bits: string, flags = "00000001") =>
  `${destination} ${bits} ${"0".repeat(32)} 00 ${"0".repeat(32)} 00000400 00000001 00000000 ${flags} ${name.padStart(8)}`;

const nowhere = "0".repeat(32);

describe("routes of a node", () => {
  it("are read as ranges with their interface", () => {
    const routes = ipv4Routes(
      line4("eth0", "00000000", "00000000", "0003"),
      line4("cni0", "0000090A", "00FFFFFF"),
    );
    expect(routes).toMatchObject([
      { range: "0.0.0.0/0", bits: 0, kind: "unicast", interface: "eth0" },
      { range: "10.9.0.0/24", bits: 24, kind: "unicast", interface: "cni0" },
    ]);
  });

  it("are the same on a processor with the other byte order", () => {
    const text = [header, line4("cni0", "0A090000", "FFFFFF00")].join("\n");
    expect(parseIpv4Routes(text, false)).toMatchObject([{ range: "10.9.0.0/24", interface: "cni0" }]);
  });

  it("that lead nowhere are told from those that lead somewhere", () => {
    const routes = ipv4Routes(line4("*", "006433C6", "00FFFFFF"), line4("*", "00000000", "00000000", "0201"));
    expect(routes.map(({ kind }) => kind)).toEqual(["reject", "reject"]);
    expect(parseIpv6Routes(line6("lo", nowhere, "00", "00200200"))).toMatchObject([{ kind: "reject" }]);
  });

  it("of IPv6 tell the node's own addresses, and leave multicast out", () => {
    const routes = parseIpv6Routes(
      [
        line6("cni0", "fd000009000000000000000000000001", "80", "80200001"),
        line6("cni0", "fd000009000000000000000000000000", "40"),
        line6("cni0", "ff000000000000000000000000000000", "08"),
      ].join("\n"),
    );
    expect(routes).toMatchObject([
      { range: "fd00:9::1/128", kind: "local", interface: "cni0" },
      { range: "fd00:9::/64", kind: "unicast", interface: "cni0" },
    ]);
  });

  it("to an address come in the kernel's order: the most special one first", () => {
    const routes = ipv4Routes(
      line4("eth0", "00000000", "00000000", "0003"),
      line4("eth0", "0000FEA9", "0000FFFF"),
      line4("eth1", "0000FEAA", "0000FFFF"),
    );
    expect(routesTo("169.254.210.210", routes).map(({ range }) => range)).toEqual([
      "169.254.0.0/16",
      "0.0.0.0/0",
    ]);
    expect(routesTo("fd00::1", routes)).toEqual([]);
  });
});

describe("uplinks", () => {
  it("are the interfaces with a default route of either family, each once and in order", () => {
    const routes = [
      ...ipv4Routes(
        line4("wan1", "00000000", "00000000", "0003"),
        line4("wan1", "00000000", "00000000", "0003"),
        line4("cni0", "0000090A", "00FFFFFF"),
      ),
      ...parseIpv6Routes(
        [line6("wan0", nowhere, "00", "00000003"), line6("wan1", nowhere, "00", "00000003")].join("\n"),
      ),
    ];
    expect(uplinks(routes)).toEqual(["wan0", "wan1"]);
  });

  it("are neither loopback nor what is unreachable", () => {
    const routes = [
      ...ipv4Routes(line4("*", "00000000", "00000000", "0201"), line4("lo", "00000000", "00000000")),
      ...parseIpv6Routes(line6("lo", nowhere, "00", "00200200")),
    ];
    expect(uplinks(routes)).toEqual([]);
  });

  it("include a VPN that takes all addresses in two halves", () => {
    expect(uplinks(ipv4Routes(line4("tun0", "00000080", "00000080", "0003")))).toEqual(["tun0"]);
  });
});

it("a node's addresses include those of interfaces that are down, each once", () => {
  const trie = `Local:
  +-- 0.0.0.0/0 3 0 5
        |-- 127.0.0.0
           /8 host LOCAL
     |-- 169.254.210.210
        /32 host LOCAL
        |-- 192.0.2.0
           /24 link UNICAST
           /32 link BROADCAST
Main:
     |-- 169.254.210.210
        /32 host LOCAL
`;
  expect(parseIpv4Addresses(trie).map(({ range }) => range)).toEqual(["127.0.0.0/8", "169.254.210.210/32"]);
});

describe("bridge netfilter", () => {
  it.each([
    [undefined, false],
    ["0\n", false],
    ["1\n", true],
  ])("that reads %j is %j, because a module that is not loaded does nothing", async (text, expected) => {
    const facts = await readNodeFacts("node-1", async (path) =>
      path.endsWith("call-iptables") ? text : undefined,
    );
    expect(facts).toEqual({ name: "node-1", uplinks: [], bridgeNetfilter: { ipv4: expected, ipv6: false } });
  });
});

it("of a file that is longer than 8,000 routes the first lines are read, whole", async () => {
  const directory = await mkdtemp(join(tmpdir(), "magic-ip-"));
  const line = `eth0 ${"0".repeat(120)}\n`;
  await writeFile(join(directory, "route"), line.repeat(50_000));
  const text = (await readText(join(directory, "route"))) ?? "";
  expect(text.length).toBeLessThan(1_200_000);
  expect(text.length % line.length).toBe(0);
  expect(await readText(join(directory, "nothing"))).toBeUndefined();
  await rm(directory, { recursive: true });
});
