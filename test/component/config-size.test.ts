import { describe, expect, it } from "vitest";
import { ANNOTATION_LIMIT, sizeFaults } from "../../component/configSize.ts";
import { chartValues } from "../../component/values.ts";
import { MagicIpAddress, MagicIpAddresses } from "../../index.ts";
import { configText, render } from "../chart/render.ts";
import { mockPulumi } from "./installation.ts";

await mockPulumi();

const addresses = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    ipAddress: `10.210.${i >> 8}.${i & 255}`,
    selector: `app=service-${i}`,
    ports: [{ port: 8126, targetPortName: "traceport" }, { port: 8125 }],
    loadBalance: false,
  }));

describe("a configuration that the annotations of a pod cannot hold", () => {
  it("is refused at once, with its size, the limit and what to do", () => {
    expect(() => new MagicIpAddresses("all", { addresses: addresses(3000) })).toThrow(
      "addresses: the configuration has 364034 bytes, with podAnnotations, and the annotations of an agent's pod may have 258048 (Kubernetes takes 262144; 4096 stay free for what is added later): install the addresses as 2 components",
    );
  });

  // The numbers of the chart's README.
  it.each([
    [2400, 1],
    [1100, 10],
  ])("is not one of %i addresses with %i ports, but of a hundred more", (count, ports) => {
    const many = (length: number) =>
      Array.from({ length }, (_, i) => ({
        ipAddress: `10.210.${i >> 8}.${i & 255}`,
        selector: `app=service-${i}`,
        namespace: "monitoring",
        ports: Array.from({ length: ports }, (_, j) => ({ port: 8000 + j })),
      }));
    expect(sizeFaults({ addresses: many(count) })).toEqual([]);
    expect(sizeFaults({ addresses: many(count + 100) })).toHaveLength(1);
  });

  it("may be one of a single address", () => {
    const ports = Array.from({ length: 20_000 }, (_, i) => ({ port: 1 + i }));
    const install = () =>
      new MagicIpAddress("one", { ipAddress: "169.254.210.210", selector: "app=x", ports });
    expect(install).toThrow("\n  ports: the configuration has ");
  });

  it("may be so because of other annotations", () => {
    const podAnnotations = { note: "ä".repeat(ANNOTATION_LIMIT / 2) };
    expect(sizeFaults({ addresses: addresses(1), agent: { podAnnotations } })).toHaveLength(1);
    expect(sizeFaults({ addresses: addresses(1), agent: { podAnnotations: { note: "a" } } })).toEqual([]);
  });

  it("is counted as the chart writes it", async () => {
    const agent = { podAnnotations: { note: "n".repeat(ANNOTATION_LIMIT) } };
    const counted = (count: number) =>
      Number(
        /has (\d+) bytes/.exec(sizeFaults({ addresses: addresses(count), agent })[0]?.reason ?? "")?.[1],
      );
    const written = async (count: number) =>
      configText(await render({ values: chartValues("x", { addresses: addresses(count) }) })).length;
    expect(counted(50) - counted(1)).toBe((await written(50)) - (await written(1)));
  });
});

describe("podAnnotations", () => {
  it("cannot take the configuration's place", () => {
    const podAnnotations = { "magic-ip-address/config": "mine" };
    const install = () => new MagicIpAddresses("all", { addresses: addresses(1), agent: { podAnnotations } });
    expect(install).toThrow(
      "agent.podAnnotations.magic-ip-address/config: holds the agent's configuration, which the chart writes: leave it out, and set the addresses",
    );
  });
});
