import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { chart, oneAddress, render } from "./render.ts";

/** Values of a wrong kind or name: what the schema refuses, where, and why. */
const refusals: [string, object, string][] = [
  [
    "a word for a switch",
    oneAddress({ loadBalance: "yes" }),
    "at '/addresses/0/loadBalance': got string, want null or boolean",
  ],
  [
    "a switch for masquerade",
    oneAddress({}, { masquerade: true }),
    "at '/masquerade': got boolean, want null or string",
  ],
  [
    "a word for hostClients",
    oneAddress({}, { hostClients: "no" }),
    "at '/hostClients': got string, want null or boolean",
  ],
  [
    "a word for outsideGuard",
    oneAddress({}, { outsideGuard: "no" }),
    "at '/outsideGuard': got string, want null or boolean",
  ],
  [
    "a word for startupTaint",
    oneAddress({}, { startupTaint: "yes" }),
    "at '/startupTaint': got string, want null or boolean",
  ],
  [
    "a port in quotes",
    oneAddress({ ports: [{ port: "8126" }] }),
    "at '/addresses/0/ports/0/port': got string, want null or number",
  ],
  [
    "a switch for a target port",
    oneAddress({ ports: [{ port: 1, targetPort: true }] }),
    "at '/addresses/0/ports/0/targetPort': got boolean, want null or number or string",
  ],
  [
    "a text for addresses",
    { addresses: "169.254.210.210" },
    "at '/addresses': got string, want null or array",
  ],
  ["null for one of the addresses", { addresses: [null] }, "at '/addresses/0': got null, want object"],
  [
    "a number for a label",
    oneAddress({}, { podLabels: { team: 1 } }),
    "at '/podLabels/team': got number, want null or string",
  ],
  [
    "a text for a section",
    oneAddress({}, { image: "agent:1.2" }),
    "at '/image': got string, want null or object",
  ],
  ["a misspelt key", oneAddress({}, { adresses: [] }), "additional properties 'adresses' not allowed"],
  ["a misspelt key of an address", oneAddress({ selectors: "a" }), "additional properties 'selectors' not"],
  ["a misspelt key of a port", oneAddress({ ports: [{ port: 1, proto: "UDP" }] }), "properties 'proto' not"],
  ["a misspelt key of a section", oneAddress({}, { rbac: { created: true } }), "properties 'created' not"],
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
