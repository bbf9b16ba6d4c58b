import { once } from "node:events";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { clients, dualStack, families, type FamilyName, ipOf, magicIps, Scene } from "./scene.ts";
import { bridgeIps } from "./topology.ts";

let scene: Scene;

beforeAll(async () => {
  scene = await Scene.create();
  await scene.node.serve("node", [80]);
});

afterAll(() => scene?.remove());

beforeEach(async () => {
  await scene.node.set({ reversePathFilter: 0 });
  await scene.start("nftables");
});

/** Sends a datagram from an address that it need not have, and prints what comes back within 100 ms. */
const forgery = `
const [from, to] = process.argv.slice(1);
const socket = require("node:dgram").createSocket(from.includes(":") ? "udp6" : "udp4");
socket.on("message", (message) => console.log(String(message)));
socket.bind(0, from, () => socket.connect(80, to, () => socket.send("?")));
setTimeout(() => process.exit(), 100);
`;

/** As a process with NET_RAW can: the datagram claims to be from the target that it goes to. Nobody's ARP tables change. */
async function forge(name: string, family: FamilyName): Promise<string> {
  const ip = ipOf(scene.old.ips, family);
  const quiet = ["net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2"];
  await scene.node.in(name, ["sysctl", "-qw", ...quiet, "net.ipv6.ip_nonlocal_bind=1"]);
  if (family === "IPv4") await scene.node.in(name, ["ip", "address", "add", ip, "dev", "lo"]);
  const argv = [process.execPath, "-e", forgery, ip, magicIps[family]];
  const { stdout } = await scene.node.in(name, argv, { reject: false });
  if (family === "IPv4") await scene.node.in(name, ["ip", "address", "del", ip, "dev", "lo"]);
  return stdout;
}

describe.each(families)("a datagram that claims to be from the target itself, over %s,", (family) => {
  const masqueraded = `${ipOf(bridgeIps, family)} udp`;

  it.each(["young", "routed-client"])("from %s arrives as the node's, and has no answer", async (forger) => {
    await scene.sync([scene.old]);
    await scene.node.sightings("old");
    expect(await forge(forger, family)).toBe("");
    expect(await scene.node.sightings("old")).toEqual([masqueraded]);
  });
});

it("a strict reverse path filter drops it, but from a pod of the target's own bridge", async () => {
  await scene.node.set({ reversePathFilter: 1 });
  await scene.sync([scene.old]);
  await scene.node.sightings("old");
  await forge("routed-client", "IPv4");
  expect(await scene.node.sightings("old")).toEqual([]);
  await forge("young", "IPv4");
  expect(await scene.node.sightings("old")).toEqual([`${bridgeIps[0]} udp`]);
});

it("a pod of the target's bridge that takes the target's IP by ARP gets its calls, straight and by the magic IP", async () => {
  await scene.sync([scene.old]);
  const [ip = ""] = scene.old.ips;
  const calls = async () => {
    const straight = await scene.node.call("routed-client", "tcp", ip, 8080);
    const through = await scene.node.call("routed-client", "tcp", magicIps.IPv4, 80);
    return [straight.uid, through.uid];
  };
  expect(await calls()).toEqual(["uid-old", "uid-old"]);
  const young = (script: string) => scene.node.in("young", ["sh", "-ec", script]);
  // The question for the gateway's MAC names the asker's, which the node then has for the target's IP.
  await young(`sysctl -qw net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.all.arp_announce=0
    ip address add ${ip} dev lo; ip neigh flush dev eth0; ping -q -c 1 -W 1 -I ${ip} ${bridgeIps[0]}`);
  expect(await calls()).toEqual(["uid-young", "uid-young"]);
  await young(`ip address del ${ip} dev lo`);
  await scene.node.in("node", ["ip", "neigh", "flush", "dev", "cni0"]);
});

describe.each(families)("over %s", (family) => {
  async function answers(port: number) {
    const calls = clients.map((client) =>
      scene.node.call(client, "tcp", magicIps[family], port, { deadline: 500 }),
    );
    return (await Promise.all(calls)).map(({ uid, error }) => uid ?? error);
  }

  it("a process of the host network that listens on the magic IP's port gets none of its calls", async () => {
    await scene.sync([scene.old]);
    expect(await answers(80)).toEqual(["uid-old", "uid-old", "uid-old"]);
    await scene.sync([]);
    expect(await answers(80)).toEqual(["ECONNREFUSED", "ECONNREFUSED", "ECONNREFUSED"]);
  });

  it("a Service with the magic IP as external IP gets only ports that no installation has", async () => {
    await scene.sync([scene.old]);
    const [header, to] = family === "IPv4" ? ["ip", scene.young.ips[0]] : ["ip6", `[${scene.young.ips[1]}]`];
    const rule = `${header} daddr ${magicIps[family]} tcp dport { 80, 81 } dnat to ${to}:8080`;
    const chain = (hook: string) => `chain ${hook} {\ntype nat hook ${hook} priority -100\n${rule}\n}\n`;
    await scene.node.load(`table ${header} service {\n${chain("prerouting")}${chain("output")}}\n`);
    expect(await answers(80)).toEqual(["uid-old", "uid-old", "uid-old"]);
    expect(await answers(81)).toEqual(["uid-young", "uid-young", "uid-young"]);
    const whole = dualStack({ ports: [] });
    await scene.sync([scene.old], whole);
    expect(await answers(81)).not.toContain("uid-young");
  });
});

it("a program with NET_ADMIN alone reads what pods of the node send, by NFLOG", async () => {
  await scene.sync([scene.old]);
  const rule = "udp dport 8080 log group 4711 queue-threshold 1";
  await scene.node.load(
    `table inet reads {\nchain c {\ntype filter hook forward priority 0\n${rule}\n}\n}\n`,
  );
  const user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const alone = ["--bounding-set=-all,+net_admin", "--inh-caps=-all,+net_admin", "--ambient-caps=+net_admin"];
  const reading = scene.node.in("node", [
    ...[...user, ...alone, "tcpdump", "-nn", "-i", "nflog:4711", "-A", "-l", "-c", "1"],
  ]);
  await once(reading.stderr as NodeJS.ReadableStream, "data");
  const argv = [process.execPath, "-e", forgery, "10.10.0.3", magicIps.IPv4];
  await scene.node.in("routed-client", argv);
  expect((await reading).stdout).toContain("10.10.0.3");
});
