import { execa } from "execa";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { desired } from "../../agent/desired/desired.ts";
import type { Finding } from "../../agent/finding.ts";
import type { Command } from "../../agent/netfilter/command.ts";
import { NodeObserver } from "../../agent/netfilter/node.ts";
import type { Pod } from "../../agent/kubernetes/pod.ts";
import { preflight } from "../../agent/doctor/preflight.ts";
import { netlinkProgram } from "../support/netlink.ts";
import { dualStack, magicIps, Scene } from "./scene.ts";

/**
 * Who is inside, on nodes of many shapes, as the agent finds it out itself. `lan` is a link of the node to the outside
 * host, whose end there has the address 198.51.100.1; the node's is 198.51.100.10, on whatever device a test has it.
 */
let scene: Scene;
let program: string;
let observer: NodeObserver;
const made: string[] = [];

const run: Command = (file, args, ...others) =>
  scene.node.command(file === "magic-ip-netlink" ? program : file, args, ...others);

const read = async (path: string) => {
  const { stdout, exitCode } = await scene.node.in("node", ["cat", path], { reject: false });
  return exitCode === 0 ? stdout : undefined;
};

const ip = (name: string, ...lines: string[]) =>
  scene.node.in(name, ["ip", "-batch", "-"], { input: `${lines.join("\n")}\n` });

/** A veth from the node to the outside host, with the node's end not configured yet. */
async function connectLan(): Promise<void> {
  const outside = scene.node.entering("outside")[1].join().split("/").at(-1);
  made.push("lan");
  await ip("node", `link add lan type veth peer name lan netns ${outside}`, "link set lan up");
  await ip(
    "outside",
    "address add 198.51.100.1/24 dev lan",
    "link set lan up",
    "route replace 169.254.210.0/24 via 198.51.100.10",
  );
}

const addressed = (device: string) => [`address add 198.51.100.10/24 dev ${device}`, `link set ${device} up`];

/** Looks at the node and brings its kernel to what the agent would make of it. */
async function sync(...pods: Pod[]): Promise<string[]> {
  const facts = await observer.look(pods.flatMap(({ ips }) => ips));
  expect(facts.trouble).toBeUndefined();
  await scene.backend.write(desired(dualStack(), facts, pods));
  return facts.uplinks;
}

const call = async (from: string, family: "IPv4" | "IPv6" = "IPv4") => {
  const { uid, error } = await scene.node.call(from, "tcp", magicIps[family], 80, { deadline: 500 });
  return uid ?? error;
};

async function findings(...pods: Pod[]): Promise<Finding[]> {
  const podIps = pods.flatMap(({ ips }) => ips);
  const found = await preflight(dualStack(), run, read, podIps);
  return found.filter(({ code }) => code !== "NO_ROUTE");
}

beforeAll(async () => {
  [scene, program] = await Promise.all([Scene.create(), netlinkProgram()]);
});

beforeEach(async () => {
  await scene.start("nftables");
  observer = new NodeObserver("node-1", { run, read });
});

afterEach(async () => {
  for (const link of made.splice(0))
    await scene.node.in("node", ["ip", "link", "delete", link], { reject: false });
});

afterAll(() => scene?.remove());

it("a node with a bridge, routed pods and an uplink has this uplink, and lets its own clients in", async () => {
  expect(await sync(scene.old, scene.routed)).toEqual(["uplink"]);
  for (const client of ["bridge-client", "routed-client", "node"]) expect(await call(client)).toBe("uid-old");
  expect(await call("outside")).toBe("ETIMEDOUT");
  expect(await findings(scene.old, scene.routed)).toEqual([]);
});

it("so it does while no pod of it is a target: its clients are refused, not dropped", async () => {
  expect(await sync()).toEqual(["uplink"]);
  for (const client of ["bridge-client", "routed-client"]) expect(await call(client)).toBe("ECONNREFUSED");
});

describe("machines without a default route to them are outside", () => {
  it("behind a veth to another network, as nodes of kind have several", async () => {
    await connectLan();
    await ip("node", ...addressed("lan"));
    expect(await sync(scene.old)).toEqual(["lan", "uplink"]);
    expect(await call("outside")).toBe("ETIMEDOUT");
    expect(await call("routed-client")).toBe("uid-old");
  });

  it("with iptables too", async () => {
    await connectLan();
    await ip("node", ...addressed("lan"));
    scene.restart("iptables-nft");
    expect(await sync(scene.old)).toEqual(["lan", "uplink"]);
    expect(await call("outside")).toBe("ETIMEDOUT");
    expect(await call("routed-client")).toBe("uid-old");
  });

  it("behind a bridge with a port that leads to them", async () => {
    await connectLan();
    made.push("br-lan");
    await ip(
      "node",
      "link add br-lan type bridge",
      "link add link lan name port0 type macvlan mode passthru",
      "link set port0 master br-lan up",
      ...addressed("br-lan"),
    );
    expect(await sync(scene.old)).toEqual(["br-lan", "uplink"]);
    expect(await call("outside")).toBe("ETIMEDOUT");
  });

  it("behind a route to 2000::/3 by a bridge", async () => {
    made.push("br0");
    await ip("node", "link add br0 type bridge", "link set br0 up", "route add 2000::/3 dev br0");
    expect(await sync(scene.old)).toEqual(["br0", "uplink"]);
  });
});

describe("an uplink", () => {
  const bridged = async () => {
    await connectLan();
    made.push("br0");
    await ip("node", "link add br0 type bridge", "link set lan master br0", ...addressed("br0"));
    await ip("node", "route add default via 198.51.100.1 metric 99");
    expect(await sync(scene.old)).toEqual(["br0", "uplink"]);
  };

  it("that loses its default route stays one", async () => {
    await bridged();
    await ip("node", "route delete default via 198.51.100.1 metric 99");
    expect(await sync(scene.old)).toEqual(["br0", "uplink"]);
    expect(await call("outside")).toBe("ETIMEDOUT");
  });

  it("that gets another name is kept out by the rules that there are", async () => {
    await bridged();
    made.push("br1");
    await ip("node", "link set br0 down", "link set br0 name br1", "link set br1 up");
    expect(await call("outside")).toBe("ETIMEDOUT");
    expect(await sync(scene.old)).toEqual(["br1", "uplink"]);
    expect(await call("outside")).toBe("ETIMEDOUT");
  });

  it.each(["äöü", "a+", 'q"{;}'])("may be called %s", async (name) => {
    await connectLan();
    made.push(name);
    await scene.node.in("node", ["ip", "link", "add", name, "type", "bridge"]);
    await scene.node.in("node", ["ip", "link", "set", "lan", "master", name]);
    await scene.node.in("node", ["ip", "address", "add", "198.51.100.10/24", "dev", name]);
    await scene.node.in("node", ["ip", "link", "set", name, "up"]);
    await scene.node.in("node", ["ip", "route", "add", "default", "via", "198.51.100.1", "metric", "99"]);
    expect(await sync(scene.old)).toEqual([name, "uplink"].sort());
    expect(await call("outside")).toBe("ETIMEDOUT");
    expect(await scene.backend.holds()).toBe(true);
  });
});

describe("an IPv6 default route", () => {
  const route = "route replace default via fd00:9::99 dev cni0 metric 1";
  afterEach(async () => {
    for (const table of ["main", "100"])
      await scene.node.in("node", [
        "ip",
        "-6",
        "route",
        "flush",
        "default",
        "via",
        "fd00:9::99",
        "table",
        table,
      ]);
  });

  it.each([
    ["of another table", `${route} table 100`],
    ["of the main one, as a pod may advertise it", route],
  ])("%s that leads by the pods' bridge keeps no pod out", async (_, add) => {
    await ip("node", add);
    for (const pods of [[], [scene.routed], [scene.old]]) {
      observer = new NodeObserver("node-1", { run, read });
      expect(await sync(...pods)).toEqual(["uplink"]);
    }
    await sync(scene.old);
    expect([await call("bridge-client"), await call("bridge-client", "IPv6")]).toEqual([
      "uid-old",
      "uid-old",
    ]);
  });

  it("of another table makes no uplink of any interface, of a rule's for all packets it does", async () => {
    made.push("br0");
    await ip("node", "link add br0 type bridge", "link set br0 up", "route add ::/0 dev br0 table 100");
    expect(await sync(scene.old)).toEqual(["uplink"]);
    await scene.node.in("node", ["ip", "-6", "rule", "add", "iif", "cni0", "lookup", "100"]);
    expect(await sync(scene.old)).toEqual(["uplink"]);
    await scene.node.in("node", ["ip", "-6", "rule", "add", "lookup", "100"]);
    expect(await sync(scene.old)).toEqual(["br0", "uplink"]);
    for (const rule of [["iif", "cni0"], []])
      await scene.node.in("node", ["ip", "-6", "rule", "delete", ...rule, "lookup", "100"]);
  });

  it("of the main table that leads by the pods' bridge is told", async () => {
    await ip("node", route);
    expect(await findings(scene.old)).toMatchObject([{ code: "DEFAULT_ROUTE_BY_PODS", severity: "warn" }]);
  });
});

it("the pods' bridge with a default route is inside when a pod is known there, and stays so", async () => {
  made.push("cni1");
  await ip(
    "node",
    "link add cni1 type bridge",
    "address add 10.11.0.1/24 dev cni1",
    "link set cni1 up",
    "route add default via 10.11.0.9 metric 99",
  );
  expect(await sync()).toEqual(["cni1", "uplink"]);
  expect((await observer.look(["10.11.0.7"])).uplinks).toEqual(["uplink"]);
  expect((await observer.look([])).uplinks).toEqual(["uplink"]);
});

describe("a target that is not reached as the node's own pod", () => {
  const elsewhere = (address: string) => ({ ...scene.old, ips: [address] });

  it("but by an uplink, as a macvlan's, is a failure", async () => {
    const found = await findings(elsewhere("192.0.2.50"));
    expect(found).toMatchObject([{ code: "TARGET_BEHIND_UPLINK", severity: "fail" }]);
    expect(found[0]?.message).toContain("192.0.2.50 is reached by uplink (veth)");
  });

  it("but by the default route, or by none, is a failure", async () => {
    const lost = [{ code: "TARGET_UNREACHABLE", severity: "fail" }];
    expect(await findings(elsewhere("203.0.113.9"))).toMatchObject(lost);
    await ip("node", "route add unreachable 203.0.113.9");
    expect(await findings(elsewhere("203.0.113.9"))).toMatchObject(lost);
    await ip("node", "route delete unreachable 203.0.113.9");
  });

  it("is a warning where others are", async () => {
    expect(await findings(scene.routed, elsewhere("203.0.113.9"))).toMatchObject([
      { code: "TARGET_UNREACHABLE", severity: "warn" },
    ]);
  });

  it("but by a veth that is a port of a bridge at its other end, as with the bridge plugin's vlan, is a failure", async () => {
    made.push("gw", "cni5");
    await ip(
      "node",
      "link add cni5 type bridge",
      "link add gw type veth peer name gwport",
      "link set gwport master cni5 up",
      "address add 10.12.0.1/24 dev gw",
      "link set gw up",
    );
    expect(await sync(elsewhere("10.12.0.7"))).toEqual(["uplink"]);
    expect(await findings(elsewhere("10.12.0.7"))).toMatchObject([
      { code: "TARGET_BEHIND_BRIDGE_PORT", severity: "fail" },
    ]);
  });
});

it("a rule that routes what comes in by an interface past a target is told", async () => {
  await ip("node", "route add default via 192.0.2.1 table 101", "rule add iif cni0 lookup 101 priority 10");
  try {
    expect(await findings(scene.routed)).toMatchObject([
      {
        code: "ROUTED_ELSEWHERE",
        severity: "warn",
        message: expect.stringContaining("by cni0 to the routing table 101"),
      },
    ]);
    await ip(
      "node",
      "route add 10.10.0.0/24 dev cni0 table 102",
      "rule add iif cni0 to 10.10.0.0/24 lookup main priority 9",
    );
    expect(await findings(scene.routed)).toEqual([]);
  } finally {
    await ip("node", "rule delete priority 10", "route flush table 101", "route flush table 102");
    await scene.node.in("node", ["ip", "rule", "delete", "priority", "9"], { reject: false });
  }
});

it("where the program fails, what was known holds, and it is said", async () => {
  expect(await sync(scene.old)).toEqual(["uplink"]);
  const broken: Command = (file, ...others) => run(file === "magic-ip-netlink" ? "false" : file, ...others);
  const known = await observer.look();
  Object.assign(observer.senses, { run: broken });
  expect(await observer.look()).toEqual({ ...known, trouble: expect.stringContaining("could not be read") });
  const fresh = await new NodeObserver("node-1", { run: broken, read }).look();
  expect(fresh).toMatchObject({ uplinks: ["uplink"], trouble: expect.anything() });
});

it("ten thousand routes cost the program no memory, and little time", async () => {
  const lines = [...Array(10_000).keys()].map(
    (n) => `route add 100.${64 + (n >> 8)}.${n & 255}.0/24 via 192.0.2.1\n`,
  );
  await scene.node.in("node", ["ip", "-batch", "-"], { input: lines.join("") });
  const before = performance.now();
  expect(await sync(scene.old)).toEqual(["uplink"]);
  expect(performance.now() - before).toBeLessThan(2_000);
  const { stderr } = await execa("nsenter", [
    ...scene.node.entering("node")[1],
    "sh",
    "-c",
    'ulimit -d 4096; "$0" routes </dev/null >/dev/null',
    program,
  ]);
  expect(stderr).toBe("");
  await ip("node", "route flush 100.64.0.0/10");
});
