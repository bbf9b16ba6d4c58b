import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { families, type FamilyName, ipOf, magicIps, Scene } from "./scene.ts";

/** The client that is to lose its magic IP, and the port that it calls from next. */
const client = "routed-client";
let lastPort = 30_000;

let scene: Scene;
let clientIps: string[];

beforeAll(async () => {
  scene = await Scene.create();
  clientIps = families.map((family) => (family === "IPv4" ? "10.10.0.3" : "fd00:10::3"));
});

afterAll(() => scene?.remove());

/** Sends a datagram and prints what comes back in time. */
const datagram = `
const [from, fromPort, to, toPort, milliseconds] = process.argv.slice(1);
const socket = require("node:dgram").createSocket(from.includes(":") ? "udp6" : "udp4");
socket.on("message", (message) => { console.log(String(message)); process.exit(); });
socket.on("error", ({ code }) => { console.log(code); process.exit(); });
socket.bind(Number(fromPort), from, () => socket.connect(Number(toPort), to, () => socket.send("?")));
setTimeout(() => process.exit(), Number(milliseconds));
`;

type Socket = [ip: string, port: number];

async function send(name: string, from: Socket, to: Socket, patience = 3_000): Promise<string> {
  const words = [...from, ...to, patience].map(String);
  const { stdout } = await scene.node.in(name, [process.execPath, "-e", datagram, ...words], {
    reject: false,
  });
  return stdout;
}

/** As a process with NET_RAW can, or a host that has the address. */
async function forge(name: string, family: FamilyName, port: number): Promise<void> {
  const ip = magicIps[family];
  await scene.node.in(name, ["ip", "address", "add", ip, "dev", "lo"]);
  try {
    await send(name, [ip, 80], [ipOf(clientIps, family), port], 100);
  } finally {
    await scene.node.in(name, ["ip", "address", "del", ip, "dev", "lo"]);
  }
}

describe("a datagram that claims to be from the magic IP", () => {
  beforeEach(() => scene.start("nftables"));

  describe.each(families)("over %s", (family) => {
    it.each(["outside", "young", "node"])(
      "from %s does not take the magic IP from the client that it is for",
      async (forger) => {
        await scene.sync([scene.old]);
        const port = ++lastPort;
        await forge(forger, family, port);
        const answer = await send(client, [ipOf(clientIps, family), port], [magicIps[family], 80]);
        expect(answer).toContain('"uid":"uid-old"');
      },
    );

    it("is dropped before its target sees it", async () => {
      await scene.sync([scene.old]);
      await scene.node.sightings(client);
      await forge("outside", family, ++lastPort);
      expect(await scene.node.sightings(client)).toEqual([]);
    });
  });
});
