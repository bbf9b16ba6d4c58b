import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { chart, oneAddress, render } from "./render.ts";

/** Values that helm itself must refuse, where, and why. */
const refusals: [string, object, string][] = [
  ["256 in an IPv4 address", oneAddress({ ipAddress: "169.254.210.256" }), "'/addresses/0/ipAddress'"],
  ["an IPv6 address", oneAddress({ ipAddress: "fd00::1" }), "'/addresses/0/ipAddress'"],
  ["leading zeros", oneAddress({ ipAddress: "169.254.010.1" }), "'/addresses/0/ipAddress'"],
  [
    "an address without an IP",
    { addresses: [{ selector: "a=b", ports: [{ port: 1 }] }] },
    "missing property 'ipAddress'",
  ],
  ["an empty selector", oneAddress({ selector: "" }), "'/addresses/0/selector': minLength"],
  ["a namespace in capitals", oneAddress({ namespace: "Monitoring" }), "'/addresses/0/namespace'"],
  ["an address without ports", oneAddress({ ports: [] }), "'/addresses/0/ports': minItems"],
  ["port 0", oneAddress({ ports: [{ port: 0 }] }), "'/addresses/0/ports/0/port': minimum"],
  ["port 65536", oneAddress({ ports: [{ port: 65536 }] }), "'/addresses/0/ports/0/port': maximum"],
  ["a port and a half", oneAddress({ ports: [{ port: 1.5 }] }), "'/addresses/0/ports/0/port'"],
  ["a port in quotes", oneAddress({ ports: [{ port: "8126" }] }), "'/addresses/0/ports/0/port'"],
  ["target port 0", oneAddress({ ports: [{ port: 1, targetPort: 0 }] }), "'/addresses/0/ports/0/targetPort'"],
  ["a target port in quotes", oneAddress({ ports: [{ port: 1, targetPort: "80" }] }), "ports/0/targetPort'"],
  ["a long port name", oneAddress({ ports: [{ port: 1, name: "a".repeat(16) }] }), "ports/0/name'"],
  ["another protocol", oneAddress({ ports: [{ port: 1, protocol: "SCTP" }] }), "must be one of 'TCP', 'UDP'"],
  ["protocol in small letters", oneAddress({ ports: [{ port: 1, protocol: "udp" }] }), "one of 'TCP', 'UDP'"],
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
