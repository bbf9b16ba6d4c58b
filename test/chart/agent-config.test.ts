import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../agent/config/config.ts";
import { explainedValues } from "../generate/values-comments.ts";
import { chart, configText, oneAddress, render, renderTests } from "./render.ts";

const configOf = async (values: object) => parseConfig(configText(await render({ values })));

const allowed = ["10.0.0.0/8", "fd00::/8"];

describe("the rendered configuration, read by the agent's own parser", () => {
  it("has every default in it", async () => {
    expect(await configOf(oneAddress())).toEqual({
      instance: "kube-system.mip",
      healthPort: expect.any(Number),
      pollInterval: 1800,
      verbose: false,
      backend: "auto",
      hostClients: true,
      outsideGuard: true,
      masquerade: "auto",
      startupTaint: false,
      addresses: [
        {
          ipAddresses: ["169.254.210.210"],
          namespace: "default",
          selector: "app=dd-agent",
          requirements: [{ key: "app", operator: "In", values: ["dd-agent"] }],
          hostNetworkTargets: false,
          loadBalance: false,
          whenNoTarget: "reject",
          ports: [{ name: undefined, port: 8126, endPort: 8126, targetPort: 8126, protocol: "tcp" }],
        },
      ],
    });
  });

  it("has everything in it that was set", async () => {
    const address = {
      namespace: "monitoring",
      selector: "app in (a, b), !canary",
      hostNetworkTargets: true,
      loadBalance: true,
    };
    const ports = [
      { name: "apm", port: 8126, targetPort: "traceport" },
      { name: "statsd", port: 8125, targetPort: 18125, protocol: "UDP" },
      { name: "rpc", port: 8000, endPort: 8010, protocol: "SCTP" },
    ];
    const others = {
      ...{ pollInterval: 60, verbose: true, healthPort: 61500, startupTaint: true },
      ...({ backend: "iptables", hostClients: false, outsideGuard: false, masquerade: "always" } as const),
    };
    const ips = { ipAddress: "10.1.2.3", ipv6Address: "fd00:210::210" };
    const config = await configOf(
      oneAddress({ ...address, ...ips, ports, whenNoTarget: "Drop" }, { ...others, allowedCidrs: allowed }),
    );
    expect(config).toMatchObject(others);
    expect(config.addresses[0]).toMatchObject({
      ...address,
      ipAddresses: ["10.1.2.3", "fd00:210::210"],
      whenNoTarget: "drop",
      ports: [
        { name: "apm", port: 8126, endPort: 8126, targetPort: "traceport", protocol: "tcp" },
        { name: "statsd", port: 8125, endPort: 8125, targetPort: 18125, protocol: "udp" },
        { name: "rpc", port: 8000, endPort: 8010, targetPort: undefined, protocol: "sctp" },
      ],
    });
  });

  it("has the blocks that addresses must lie in, and the agent keeps to them", async () => {
    await expect(configOf(oneAddress({}, { allowedCidrs: allowed }))).rejects.toThrow(
      "addresses[0].ipAddress: 169.254.210.210 is in none of the allowedCidrs: choose an address in 10.0.0.0/8, fd00::/8",
    );
  });

  // An empty key in a values file, as it is left when somebody takes its content away.
  it("is one that the agent takes where every value is null that may be", async () => {
    const paths = explainedValues(readFileSync(`${chart}/values.yaml`, "utf8")).map(({ path }) => path);
    const values: Record<string, unknown> = oneAddress() as Record<string, unknown>;
    for (const path of paths.filter((each) => each !== "addresses" && each !== "image.repository")) {
      const [key = "", inner] = path.split(".");
      values[key] = inner === undefined ? null : { ...Object(values[key]), [inner]: null };
    }
    const config = await configOf(values);
    expect(config).toMatchObject({ backend: "auto", outsideGuard: true, startupTaint: false });
    expect(await renderTests({ values })).toHaveLength(1);
    // And of what is not there otherwise.
    const labels = { enabled: true, labels: null };
    const monitored = { ...values, metricsPort: 9091, podMonitor: labels, grafanaDashboard: labels };
    expect((await render({ values: monitored })).map(({ kind }) => kind)).toContain("PodMonitor");
  });

  it.each([
    ["without ports", { ports: undefined }],
    ["with an empty list of ports", { ports: [] }],
  ])("is for the whole IP %s", async (_, changes) => {
    const config = await configOf(oneAddress({ ipAddress: "fd00:210::210", ...changes }));
    expect(config.addresses[0]).toMatchObject({ ipAddresses: ["fd00:210::210"], ports: [] });
  });

  it.each(["1e3", "0x1f", "on", "null"])("takes the port name %s for the text that it is", async (name) => {
    const config = await configOf(oneAddress({ ports: [{ port: 1, name, targetPort: name }] }));
    expect(config.addresses[0]?.ports[0]).toMatchObject({ name, targetPort: name });
  });
});
