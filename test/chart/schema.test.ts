import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { chart, oneAddress, render } from "./render.ts";

/** Values that helm itself must refuse, where, and why. */
const refusals: [string, object, string][] = [
  ["256 in an IPv4 address", oneAddress({ ipAddress: "169.254.210.256" }), "'/addresses/0/ipAddress'"],
  ["a name for an address", oneAddress({ ipAddress: "localhost" }), "'/addresses/0/ipAddress'"],
  ["g in an IPv6 address", oneAddress({ ipAddress: "fd00::g" }), "'/addresses/0/ipAddress'"],
  ["an IPv6 address with a zone", oneAddress({ ipAddress: "fe80::1%eth0" }), "'/addresses/0/ipAddress'"],
  ["an IPv4 address as ipv6Address", oneAddress({ ipv6Address: "10.1.2.3" }), "'/addresses/0/ipv6Address'"],
  ["end port 65536", oneAddress({ ports: [{ port: 1, endPort: 65536 }] }), "'/addresses/0/ports/0/endPort'"],
  ["whenNoTarget in small letters", oneAddress({ whenNoTarget: "drop" }), "one of 'Reject', 'Drop', 'Pass'"],
  ["a word for a switch", oneAddress({ loadBalance: "yes" }), "'/addresses/0/loadBalance'"],
  ["another backend", oneAddress({}, { backend: "ipvs" }), "one of 'auto', 'nftables', 'iptables'"],
  ["a switch for masquerade", oneAddress({}, { masquerade: true }), "one of 'auto', 'always'"],
  ["a word for hostClients", oneAddress({}, { hostClients: "no" }), "'/hostClients'"],
  ["a word for outsideGuard", oneAddress({}, { outsideGuard: "no" }), "'/outsideGuard'"],
  ["a word for startupTaint", oneAddress({}, { startupTaint: "yes" }), "'/startupTaint'"],
  ["a block without bits", oneAddress({}, { allowedCidrs: ["10.0.0.0"] }), "'/allowedCidrs/0'"],
  ["33 bits of IPv4", oneAddress({}, { allowedCidrs: ["10.0.0.0/33"] }), "'/allowedCidrs/0'"],
  ["129 bits of IPv6", oneAddress({}, { allowedCidrs: ["fd00::/129"] }), "'/allowedCidrs/0'"],
  ["leading zeros", oneAddress({ ipAddress: "169.254.010.1" }), "'/addresses/0/ipAddress'"],
  [
    "an address without an IP",
    { addresses: [{ selector: "a=b", ports: [{ port: 1 }] }] },
    "missing property 'ipAddress'",
  ],
  ["an empty selector", oneAddress({ selector: "" }), "'/addresses/0/selector': minLength"],
  ["a namespace in capitals", oneAddress({ namespace: "Monitoring" }), "'/addresses/0/namespace'"],
  ["port 0", oneAddress({ ports: [{ port: 0 }] }), "'/addresses/0/ports/0/port': minimum"],
  ["port 65536", oneAddress({ ports: [{ port: 65536 }] }), "'/addresses/0/ports/0/port': maximum"],
  ["a port and a half", oneAddress({ ports: [{ port: 1.5 }] }), "'/addresses/0/ports/0/port'"],
  ["a port in quotes", oneAddress({ ports: [{ port: "8126" }] }), "'/addresses/0/ports/0/port'"],
  ["target port 0", oneAddress({ ports: [{ port: 1, targetPort: 0 }] }), "'/addresses/0/ports/0/targetPort'"],
  ["a target port in quotes", oneAddress({ ports: [{ port: 1, targetPort: "80" }] }), "ports/0/targetPort'"],
  ["a long port name", oneAddress({ ports: [{ port: 1, name: "a".repeat(16) }] }), "ports/0/name'"],
  ["another protocol", oneAddress({ ports: [{ port: 1, protocol: "ICMP" }] }), "one of 'TCP', 'UDP', 'SCTP'"],
  [
    "protocol in small letters",
    oneAddress({ ports: [{ port: 1, protocol: "udp" }] }),
    "of 'TCP', 'UDP', 'SCTP'",
  ],
  ["a misspelt key", oneAddress({}, { adresses: [] }), "additional properties 'adresses' not allowed"],
  ["a misspelt key of an address", oneAddress({ selectors: "a" }), "additional properties 'selectors' not"],
  ["a misspelt key of a port", oneAddress({ ports: [{ port: 1, proto: "UDP" }] }), "properties 'proto' not"],
  ["a poll interval of 0", oneAddress({}, { pollInterval: 0 }), "'/pollInterval': minimum"],
  ["an impossible health port", oneAddress({}, { healthPort: 70000 }), "'/healthPort': maximum"],
  ["another pull policy", oneAddress({}, { image: { pullPolicy: "Sometimes" } }), "'/image/pullPolicy'"],
  ["a short digest", oneAddress({}, { image: { digest: "sha256:12" } }), "'/image/digest'"],
  [
    "a name that Kubernetes would refuse",
    oneAddress({}, { fullnameOverride: "Dd_Agent" }),
    "'/fullnameOverride'",
  ],
];

describe("values.schema.json", () => {
  it.each(refusals)("refuses %s", async (_, values, message) => {
    await expect(render({ values })).rejects.toThrow(message);
  });

  it.each(["fd00::1", "FD00:0210::", "1:2:3:4:5:6:7:8", "::2:3:4:5:6:7:8", "fd00::10.1.2.3"])(
    "allows the IPv6 address %s",
    async (ipAddress) => {
      await expect(render({ values: oneAddress({ ipAddress }) })).resolves.toBeDefined();
    },
  );

  it("allows blocks of both families", async () => {
    const allowedCidrs = ["0.0.0.0/0", "169.254.210.210/32", "::/0", "fd00:210::/32", "fd00::1/128"];
    await expect(render({ values: oneAddress({}, { allowedCidrs }) })).resolves.toBeDefined();
  });

  it("allows what Helm gives a subchart", async () => {
    await expect(
      render({ values: oneAddress({}, { global: { a: 1 }, enabled: true }) }),
    ).resolves.toBeDefined();
  });

  it("knows what values.yaml explains, and nothing else", async () => {
    const values = parse(await readFile(`${chart}/values.yaml`, "utf8"));
    const { properties } = JSON.parse(await readFile(`${chart}/values.schema.json`, "utf8"));
    const explained = Object.keys(properties).filter((key) => !["global", "enabled"].includes(key));
    expect(explained.sort()).toEqual(Object.keys(values).sort());
    for (const group of ["image", "serviceAccount", "rbac"]) {
      expect(Object.keys(properties[group].properties).sort()).toEqual(Object.keys(values[group]).sort());
    }
  });
});
