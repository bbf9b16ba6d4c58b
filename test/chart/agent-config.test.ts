import { describe, expect, it } from "vitest";
import { parseConfig } from "../../agent/config.ts";
import { oneAddress, only, render } from "./render.ts";

const configOf = async (values: object) =>
  parseConfig(only(await render({ values }), "ConfigMap").data["config.yaml"]);

describe("the rendered configuration, read by the agent's own parser", () => {
  it("has every default in it", async () => {
    expect(await configOf(oneAddress())).toEqual({
      instance: "kube-system.mip",
      healthPort: expect.any(Number),
      pollInterval: 600,
      verbose: false,
      addresses: [
        {
          ipAddress: "169.254.210.210",
          namespace: "default",
          selector: "app=dd-agent",
          requirements: [{ key: "app", operator: "In", values: ["dd-agent"] }],
          hostNetworkTargets: false,
          ports: [{ name: undefined, port: 8126, targetPort: 8126, protocol: "tcp" }],
        },
      ],
    });
  });

  it("has everything in it that was set", async () => {
    const address = {
      ipAddress: "10.1.2.3",
      namespace: "monitoring",
      selector: "app in (a, b), !canary",
      hostNetworkTargets: true,
      ports: [
        { name: "apm", port: 8126, targetPort: "traceport" },
        { name: "statsd", port: 8125, targetPort: 18125, protocol: "UDP" },
      ],
    };
    const config = await configOf(
      oneAddress(address, { pollInterval: 60, verbose: true, healthPort: 61500 }),
    );
    expect(config).toMatchObject({ healthPort: 61500, pollInterval: 60, verbose: true });
    expect(config.addresses[0]).toMatchObject({
      ...address,
      ports: [
        { name: "apm", port: 8126, targetPort: "traceport", protocol: "tcp" },
        { name: "statsd", port: 8125, targetPort: 18125, protocol: "udp" },
      ],
    });
  });

  it.each(["1e3", "0x1f", "on", "null"])("takes the port name %s for the text that it is", async (name) => {
    const config = await configOf(oneAddress({ ports: [{ port: 1, name, targetPort: name }] }));
    expect(config.addresses[0]?.ports[0]).toMatchObject({ name, targetPort: name });
  });
});
