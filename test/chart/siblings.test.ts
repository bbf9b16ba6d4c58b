import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chartFaults, oneAddress } from "./render.ts";
import { umbrella } from "./umbrella.ts";

let release: Awaited<ReturnType<typeof umbrella>>;
beforeAll(async () => {
  release = await umbrella(["dd", "zip"]);
});
afterAll(() => release.remove());

const faultsOf = (dd: object, zip: object) => chartFaults({ ...release, values: { dd, zip } });
const other = { ipAddress: "169.254.210.211" };

describe("two aliases of the chart in one parent", () => {
  it("are refused where they claim one port of one IP, with the sibling's path", async () => {
    const range = oneAddress({
      ipAddress: "169.254.210.1",
      ipv6Address: "FD00:210:0::1",
      ports: [{ port: 8000, endPort: 9000 }],
    });
    expect(await faultsOf(oneAddress({ ipAddress: "fd00:210::1" }), range)).toEqual([
      "addresses[0].ports[0].port: [fd00:210::1]:8126/TCP is taken by zip.addresses[0].ports[0].port (8000-9000): a port can lead to one target only",
    ]);
  });

  it("are refused where they claim one whole IP, or share a port of the agent", async () => {
    const whole = (others: object) => oneAddress({ ports: [] }, others);
    expect(
      await faultsOf(whole({ metricsPort: 9091 }), whole({ metricsPort: 9091, healthPort: 61500 })),
    ).toEqual([
      "addresses[0].ipAddress: 169.254.210.210 is taken by zip.addresses[0].ipAddress, which has no ports either: list the ports of one of them, or choose another address",
      "metricsPort: 9091 is zip.metricsPort, on the same nodes: choose another port",
    ]);
    expect(
      await faultsOf(oneAddress(other, { metricsPort: 61500 }), oneAddress({}, { healthPort: 61500 })),
    ).toEqual(["metricsPort: 61500 is zip.healthPort, on the same nodes: choose another port"]);
  });

  it.each([
    ["have addresses of their own", oneAddress(other), oneAddress()],
    ["share an IP, not a port", oneAddress({ ports: [{ port: 1 }] }), oneAddress()],
    [
      "are on other nodes",
      oneAddress({}, { nodeSelector: { pool: "a" } }),
      oneAddress({}, { nodeSelector: { pool: "b" } }),
    ],
    ["choose nodes by an affinity", oneAddress({}, { affinity: { nodeAffinity: {} } }), oneAddress()],
  ])("are let in where they %s", async (_, dd, zip) => {
    expect(await faultsOf(dd, zip)).toEqual([]);
  });

  it("are refused where only one of them chooses nodes, which may be those of the other too", async () => {
    const chosen = oneAddress({}, { nodeSelector: { pool: "a" } });
    expect(await faultsOf(chosen, oneAddress())).toHaveLength(1);
    expect(await faultsOf(oneAddress(), chosen)).toHaveLength(1);
  });
});
