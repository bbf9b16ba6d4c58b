import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { flowKinds } from "../../agent/kernel.ts";
import { type Converse, converse } from "../../agent/netfilter/command.ts";
import { Conntrack } from "../../agent/netfilter/conntrack.ts";
import { Netlink } from "../../agent/netfilter/netlink.ts";
import { ensurePackages } from "../support/debian.ts";
import { Namespaces } from "./namespaces.ts";
import { runningPrograms } from "./programs.ts";
import { type Remembered, remember, tcpStates } from "./remember.ts";

const [tcp, udp, sctp] = [6, 17, 132];
const ip = "169.254.210.210";
const [old, young, web] = ["10.244.1.7", "10.244.1.8", "10.244.1.9"];
const namespaces = new Namespaces();
let netlink: Netlink;
let flows: Conntrack;

beforeAll(async () => {
  await ensurePackages(["nftables", "conntrack", "iproute2"]);
  await namespaces.add("node");
  // Connection tracking is on where a rule asks for it.
  const rule = "table inet track { chain c { type filter hook input priority 0; ct state new accept; }; }";
  await namespaces.in("node", ["nft", rule]);
  netlink = namespaces.netlink("node", "flows");
  flows = new Conntrack(netlink);
});

beforeEach(async () => void (await namespaces.in("node", ["conntrack", "-F"])));

afterAll(async () => {
  flows?.end();
  await namespaces.deleteAll();
});

const has = (flow: Remembered) => remember(namespaces.entering("node"), flow);
const count = async () => Number((await namespaces.in("node", ["conntrack", "-C"])).stdout);

/** Which of the flows a pass of both kinds, or of one, leaves; each has a client of its own. */
async function left(table: string[], given: Omit<Remembered, "to">[], kinds = flowKinds.slice()) {
  for (const [index, flow] of given.entries()) await has({ to: ip, ...flow, client: `10.1.1.${index}` });
  for (const kind of kinds) await flows.pass(kind, table);
  const { stdout } = await namespaces.in("node", ["conntrack", "-L"]);
  return given.map((_, index) => new RegExp(` src=10\\.1\\.1\\.${index} `).test(stdout));
}

const binding = ["pods", `pod ${young}`, `pod ${old}`, "targets", `target ${young} 8080`];
const table = [`ip ${ip}`, ...binding, "own 6 80 80 none", "own 17 80 80 none", "own 132 80 80 none"];

describe("of a port, a pass ends", () => {
  it("UDP flows to any pod but the target, even one that drains, and none to a port that is not ours", async () => {
    const given = [
      { protocol: udp, from: young },
      { protocol: udp, from: young, fromPort: 8081 },
      { protocol: udp, from: old },
      { protocol: udp, from: old, port: 81 },
      { protocol: udp, from: ip, fromPort: 80 },
    ];
    expect(await left(table, given)).toEqual([true, false, false, true, false]);
  });

  it.each([tcp, sctp])("connections (protocol %s) only when their pod is gone", async (protocol) => {
    const given = [
      { protocol, from: old, fromPort: 8080 },
      { protocol, from: web },
    ];
    expect(await left(table, given)).toEqual([true, false]);
  });

  it("TCP connections to a pod that is live for another address of the IP only", async () => {
    const other = ["pods", `pod ${web}`, "targets", `target ${web} 81`, "own 6 81 81 none"];
    const given = [
      { protocol: tcp, from: web },
      { protocol: tcp, from: web, port: 81 },
      { protocol: tcp, from: old, port: 81 },
    ];
    expect(await left([...table, ...other], given)).toEqual([false, true, false]);
  });

  it("connection attempts that no pod answered, with the datagrams, and no connection that is over", async () => {
    const given = [
      { protocol: tcp, from: old, state: tcpStates.SYN_SENT, answered: false },
      { protocol: tcp, from: young, state: tcpStates.SYN_SENT, answered: false },
      { protocol: sctp, from: old, answered: false },
      { protocol: tcp, from: web, state: tcpStates.TIME_WAIT },
      { protocol: tcp, from: web },
    ];
    expect(await left(table, given, ["datagrams"])).toEqual([false, true, false, true, true]);
    expect(await left(table, [], ["connections"])).toEqual([]);
    expect(await count()).toBe(2);
  });

  it("what the network answers as its address lets it pass", async () => {
    const given = [
      { protocol: udp, from: ip, fromPort: 80 },
      { protocol: tcp, from: ip, fromPort: 80 },
      { protocol: tcp, from: ip, fromPort: 80, state: tcpStates.SYN_SENT, answered: false },
    ];
    const passing = (word: string) => table.map((line) => line.replace("none", word));
    expect(await left(passing("all"), given)).toEqual([true, true, true]);
    await namespaces.in("node", ["conntrack", "-F"]);
    expect(await left(passing("connections"), given)).toEqual([false, true, false]);
  });

  it("what is left of a connection that was reset, unless it led to the target: the next one would follow it", async () => {
    const given = [
      { protocol: tcp, from: old, state: tcpStates.CLOSE },
      { protocol: tcp, from: young, state: tcpStates.CLOSE },
    ];
    expect(await left(table, given)).toEqual([false, true]);
  });

  it("nothing of another zone, which is another datapath's", async () => {
    await has({ protocol: udp, to: ip, from: old, zone: 65_520 });
    expect((await flows.pass("datagrams", table)).ended).toMatchObject({ udp: 0 });
    expect(await count()).toBe(1);
  });
});

describe("of a whole IP, a pass ends", () => {
  const whole = [`ip ${ip}`, "pods", `pod ${young}`, "targets", `target ${young} 0`, "own any 0 65535 none"];

  it("flows of every protocol that lead elsewhere, by address where there are no ports", async () => {
    const given = [
      ...[253, 50, 136].map((protocol) => ({ protocol, from: old })),
      { protocol: 253, from: young },
      { protocol: udp, from: young, port: 99, fromPort: 99 },
      { protocol: udp, from: young, port: 99, fromPort: 98 },
    ];
    expect(await left(whole, given)).toEqual([false, false, false, true, true, false]);
  });

  it("a port of its own by its own binding", async () => {
    const own = ["pods", `pod ${web}`, "targets", `target ${web} 8080`, "own 17 80 80 none"];
    const given = [
      { protocol: udp, from: web },
      { protocol: udp, from: young },
    ];
    expect(await left([...whole, ...own], given)).toEqual([true, false]);
  });
});

it("what an earlier configuration had ends in whatever state, but for what others have", async () => {
  const given = [
    { protocol: udp, from: old, port: 99 },
    { protocol: tcp, from: old, port: 99 },
    { protocol: tcp, from: old, port: 99, state: tcpStates.TIME_WAIT },
    { protocol: tcp, from: old, port: 81 },
    { protocol: tcp, from: old },
  ];
  const gone = (extent: string) => [...table, "pods", "others 6 81 81", `gone any 0 65535 ${extent}`];
  expect(await left(gone("rest"), given)).toEqual([false, true, true, true, true]);
  await namespaces.in("node", ["conntrack", "-F"]);
  expect(await left(gone("all"), given)).toEqual([false, false, false, true, true]);
});

it.each([0, 9])("flows over IPv6 to a range of ports follow it, beside %s more magic IPs", async (others) => {
  const words = ["-I", "-p", "udp", "-s", "fd00::1", "-d", "fd00:210::210", "--sport", "4000"];
  const insert = (port: number, pod: string) =>
    namespaces.in("node", ["conntrack", ...words, "--dport", `${port}`, "-g", pod, "--timeout", "60"]);
  await insert(8004, "fd00:9::7");
  await insert(8005, "fd00:9::8");
  await insert(8011, "fd00:9::7");
  const many = Array.from({ length: others }, (_, index) => [
    `ip fd00:210::${index}`,
    "own 17 1 1 none",
  ]).flat();
  const range = ["ip fd00:210::210", "pods", "targets", "target fd00:9::8 0", "own 17 8000 8010 none"];
  const { ended } = await flows.pass("datagrams", [...range, ...many]);
  expect(ended).toMatchObject({ udp: 1 });
  expect(await count()).toBe(2);
});

describe("on a busy node", () => {
  it("126,000 flows from one pod, to 20,000 ports and more, end in one pass and take no memory", async () => {
    await has({ count: 126_000, protocol: udp, to: ip, port: 0, from: old });
    const answer = await flows.pass("datagrams", [`ip ${ip}`, ...binding, "own 17 1 65535 none"]);
    expect(answer).toMatchObject({ ended: { udp: 126_000 }, stopped: false });
    expect(await count()).toBe(0);
    expect(await peakMegabytes()).toBeLessThan(4);
  });

  it("100,000 connections and as many foreign flows neither hold up datagrams nor a write", async () => {
    await has({ count: 100_000, protocol: tcp, to: ip, from: old, state: tcpStates.TIME_WAIT });
    await has({ count: 100_000, protocol: udp, client: "10.2.0.1", to: "192.0.2.1", from: "192.0.2.1" });
    await has({ count: 3, protocol: udp, to: ip, from: old });
    const two = [...table, "ip 169.254.210.211", "own 17 80 80 none"];
    const datagrams = (await netlink.request(["pass", "datagrams"], two)) as { seen: number; ended: object };
    expect(datagrams).toMatchObject({ seen: 3, ended: { udp: 3, tcp: 0 } });
    const began = performance.now();
    const connections = flows.pass("connections", table);
    flows.stop();
    expect(await connections).toMatchObject({ stopped: true });
    // The half of a second is for a machine with other work; the program ends within 60 ms.
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(await flows.pass("connections", table)).toMatchObject({ stopped: false });
    expect(await peakMegabytes()).toBeLessThan(4);
  });
});

it("a program that does not stop is ended, and the next pass has another one", async () => {
  const start: Converse = (_file, _args, ...others) => converse("sleep", ["61"], ...others);
  const deaf = new Conntrack(new Netlink("flows", { start, patience: 5_000 }));
  const pass = deaf.pass("datagrams", table);
  const began = performance.now();
  deaf.stop();
  expect(await pass).toMatchObject({ stopped: true });
  expect(performance.now() - began).toBeLessThan(2_000);
});

/** The most that the program that runs had resident. */
async function peakMegabytes(): Promise<number> {
  const { stdout } = await namespaces.in("node", ["readlink", "/proc/self/ns/net"]);
  const [id] = await runningPrograms(stdout, "flows");
  return Number(/VmHWM:\s+(\d+)/.exec(await readFile(`/proc/${id}/status`, "utf8"))?.[1]) / 1024;
}
