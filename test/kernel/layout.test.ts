import { readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { backendNames } from "./backends.ts";
import { dualStack, magicIps, Scene } from "./scene.ts";

let scene: Scene;

beforeAll(async () => {
  scene = await Scene.create();
});

afterAll(() => scene?.remove());

/** The transaction of an older version for one target, as its agent sends it: it replaces whatever is there. */
const older = (version: string) =>
  readFileSync(new URL(`layouts/${version}.nft`, import.meta.url), "utf8").replaceAll(
    "TARGET",
    scene.old.ips[0] ?? "",
  );

/** Ends with the calls that failed while `during` ran. */
async function failuresOf(during: () => Promise<unknown>) {
  const calls = scene.node.callAll("bridge-client", "tcp", magicIps.IPv4, 80, 2);
  await calls.next(({ uid }) => uid === "uid-old");
  await during();
  const answers = await calls.end();
  expect(answers.length).toBeGreaterThan(50);
  expect(new Set(answers.map(({ uid }) => uid).filter(Boolean))).toEqual(new Set(["uid-old"]));
  return answers.filter(({ error }) => error !== undefined);
}

describe.each(["0.1.0"])("the table of version %s", (version) => {
  beforeEach(() => scene.start("nftables"));

  it("is upgraded and downgraded under load, and no connection fails", async () => {
    await scene.node.load(older(version));
    const failures = await failuresOf(async () => {
      for (let turn = 0; turn < 10; turn++) {
        scene.restart("nftables");
        await scene.sync([scene.old]);
        await scene.node.load(older(version));
      }
    });
    expect(failures).toEqual([]);
  });

  it("leaves nothing behind after the upgrade", async () => {
    const list = async () => {
      const words = ["nft", "-s", "list", "table", "inet", "magic-ip-test.echo"];
      // The time of the last write differs.
      return String((await scene.node.in("node", words)).stdout).replace(/elements = \{ 0x.* \. 0x.* \}/, "");
    };
    await scene.sync([scene.old]);
    const fresh = await list();
    await scene.node.load(older(version));
    expect(await list()).not.toBe(fresh);
    scene.restart("nftables");
    await scene.sync([scene.old]);
    expect(await list()).toBe(fresh);
  });
});

it("ranges of an installation whose sets are those of intervals are known, and their counters kept", async () => {
  await scene.start("nftables");
  const ports = [{ port: 8000, endPort: 8010 }];
  const counted = { packets: 7, bytes: 420 };
  await scene.node.load(`table inet magic-ip-test.echo {
    set traffic-ranges4 {
      type ipv4_addr . inet_proto . inet_service
      flags interval
      counter
      elements = { ${magicIps.IPv4} . tcp . 8000-8010 counter packets ${counted.packets} bytes ${counted.bytes} }
    }
  }`);
  expect(await scene.backend.frontends("test.echo")).toEqual([
    { ipAddress: magicIps.IPv4, protocol: "tcp", port: 8000, endPort: 8010 },
  ]);
  await scene.sync([scene.old], dualStack({ ports }));
  expect((await scene.backend.counts())[0]?.traffic).toEqual(counted);
  expect(await scene.backend.frontends("test.echo")).toContainEqual({
    ...{ ipAddress: magicIps.IPv6, protocol: "tcp", port: 8000, endPort: 8010 },
  });
});

describe.each(backendNames)("an agent that starts again, with %s", (backendName) => {
  it("and every change of the configuration fail no connection", async () => {
    await scene.start(backendName);
    await scene.sync([scene.old]);
    const ports = [...Array(20).keys()].map((index) => ({ port: 80 + index, targetPort: 8080 }));
    const failures = await failuresOf(async () => {
      for (let turn = 0; turn < 5; turn++) {
        await scene.sync([scene.old], dualStack({ ports, loadBalance: turn % 2 === 0 }));
        scene.restart(backendName);
        await scene.sync([scene.old]);
      }
    });
    expect(failures).toEqual([]);
  });
});
