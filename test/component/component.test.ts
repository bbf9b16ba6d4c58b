import { existsSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import { MagicIpAddress, type MagicIpAddressArgs, MagicIpAddresses } from "../../index.ts";
import { chartOf, known, mockPulumi } from "./installation.ts";

const minimal: MagicIpAddressArgs = {
  ipAddress: "169.254.210.210",
  selector: "app=dd-agent",
  ports: [{ port: 8126 }],
};

const resources = await mockPulumi();

describe("MagicIpAddress", () => {
  it("installs its chart under its own name", async () => {
    new MagicIpAddress("named", minimal);
    expect(await chartOf(resources, "named")).toEqual({
      chart: expect.stringMatching(/\/component\/chart$/),
      name: "named",
      namespace: "kube-system",
      values: {
        fullnameOverride: "named",
        addresses: [{ ipAddress: "169.254.210.210", selector: "app=dd-agent", ports: [{ port: 8126 }] }],
      },
    });
    expect(existsSync(`${(await chartOf(resources, "named")).chart}/Chart.yaml`)).toBe(true);
  });

  it("says where it is, in outputs", async () => {
    const ports = [{ port: 8126 }, { port: 8125, protocol: "UDP" as const }];
    const magicIp = new MagicIpAddress("outputs", { ...minimal, ports, agent: { namespace: "infra" } });
    expect(await known(magicIp.ipAddress)).toBe("169.254.210.210");
    expect(await known(magicIp.endpoint)).toBe("169.254.210.210:8126");
    expect(await known(magicIp.namespace)).toBe("infra");
    expect(await known(magicIp.daemonSetName)).toBe("outputs");
    expect((await chartOf(resources, "outputs")).namespace).toBe("infra");
  });

  it.each([
    ["in brackets for IPv6", { ipAddress: "FD00:210::0:210" }, "[fd00:210::210]:8126"],
    ["the IP alone for a whole IP", { ports: undefined }, "169.254.210.210"],
    ["the IP alone for a whole IPv6 address", { ipAddress: "fd00:210::210", ports: [] }, "fd00:210::210"],
    ["the first port of a range", { ports: [{ port: 8000, endPort: 8010 }] }, "169.254.210.210:8000"],
    ["the IPv4 one of two", { ipv6Address: "fd00:210::210" }, "169.254.210.210:8126"],
  ])("has an endpoint that is %s", async (what, changes, endpoint) => {
    const magicIp = new MagicIpAddress(what.replace(/\W/g, "-").toLowerCase(), { ...minimal, ...changes });
    expect(await known(magicIp.endpoint)).toBe(endpoint);
  });

  it("has the type token that Pulumi's plugin host demands", async () => {
    const urn = await known(new MagicIpAddress("token", minimal).urn);
    expect(urn).toContain("::magic-ip-address:index:MagicIpAddress::token");
  });

  it("takes Outputs and promises wherever it takes values", async () => {
    const magicIp = new MagicIpAddress("promises", {
      ipAddress: pulumi.output("169.254.210.210"),
      selector: Promise.resolve("app=dd-agent"),
      ports: pulumi.output([{ port: pulumi.output(8126) }]),
      agent: pulumi.output({ image: pulumi.output("agent:1") }),
    });
    expect((await chartOf(resources, "promises")).values).toMatchObject({
      addresses: [{ ipAddress: "169.254.210.210", selector: "app=dd-agent", ports: [{ port: 8126 }] }],
      image: { repository: "agent", tag: "1" },
    });
    expect(await known(magicIp.endpoint)).toBe("169.254.210.210:8126");
  });

  it("keeps a secret in the chart's values a secret", async () => {
    new MagicIpAddress("secret", {
      ...minimal,
      values: { daemonSetAnnotations: { a: pulumi.secret("s3cret") } },
    });
    // Pulumi's wire format: the signature of a secret around the value (sdk/nodejs/runtime/rpc.ts).
    expect((await chartOf(resources, "secret")).values).toMatchObject({
      "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
      value: { daemonSetAnnotations: { a: "s3cret" } },
    });
  });
});

describe("MagicIpAddresses", () => {
  const addresses = [
    {
      ipAddress: "169.254.210.210",
      selector: "app=dd-agent",
      ports: [
        { name: "apm", port: 8126 },
        { name: "health", port: 5555 },
      ],
    },
    {
      ipAddress: "169.254.210.211",
      selector: "app=zipkin",
      ports: [{ port: 9411 }, { name: "health", port: 80 }],
    },
  ];

  it("installs one chart for all its addresses", async () => {
    new MagicIpAddresses("several", { addresses });
    expect(await chartOf(resources, "several")).toMatchObject({
      name: "several",
      namespace: "kube-system",
      values: { fullnameOverride: "several", addresses },
    });
  });

  it("gives every endpoint by itself, and by its name where that is nobody else's", async () => {
    const { endpoints, namespace, daemonSetName } = new MagicIpAddresses("endpoints", { addresses });
    expect(await known(endpoints)).toEqual({
      "169.254.210.210:8126": "169.254.210.210:8126",
      "169.254.210.210:5555": "169.254.210.210:5555",
      "169.254.210.211:9411": "169.254.210.211:9411",
      "169.254.210.211:80": "169.254.210.211:80",
      apm: "169.254.210.210:8126",
    });
    expect(await known(namespace)).toBe("kube-system");
    expect(await known(daemonSetName)).toBe("endpoints");
  });

  it("gives the endpoints of both families, and by its name that of the first", async () => {
    const { endpoints } = new MagicIpAddresses("families", {
      addresses: [
        { ...minimal, ipv6Address: "fd00:210::210", ports: [{ name: "apm", port: 8126 }] },
        { ...minimal, ipAddress: "fd00:210::211", ports: [{ name: "media", port: 8000, endPort: 8010 }] },
        { ...minimal, ipAddress: "169.254.210.212", ipv6Address: "fd00:210::212", ports: [] },
      ],
    });
    expect(await known(endpoints)).toEqual({
      "169.254.210.210:8126": "169.254.210.210:8126",
      "[fd00:210::210]:8126": "[fd00:210::210]:8126",
      "[fd00:210::211]:8000": "[fd00:210::211]:8000",
      "169.254.210.212": "169.254.210.212",
      "fd00:210::212": "fd00:210::212",
      apm: "169.254.210.210:8126",
      media: "[fd00:210::211]:8000",
    });
  });

  it("names the faults of each of its addresses", () => {
    const wrong = [addresses[0], { ...addresses[0], selector: "" }] as typeof addresses;
    expect(() => new MagicIpAddresses("telemetry", { addresses: wrong })).toThrow(
      [
        'MagicIpAddresses "telemetry" cannot be installed, 3 arguments are wrong:',
        "  addresses[1].ports[0].port: 169.254.210.210:8126/TCP is taken by addresses[0].ports[0].port: a port can lead to one target only",
        "  addresses[1].ports[1].port: 169.254.210.210:5555/TCP is taken by addresses[0].ports[1].port: a port can lead to one target only",
        "  addresses[1].selector: is empty: it would select every pod: write it as for kubectl -l, as app=dd-agent",
      ].join("\n"),
    );
  });
});
