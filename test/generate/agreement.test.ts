import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { ConfigError, parseConfig } from "../../agent/config.ts";
import { configShape } from "../../agent/schema.ts";
import { explainedValues } from "./values-comments.ts";

const chart = new URL("../../component/chart/", import.meta.url);
const schema = JSON.parse(await readFile(new URL("values.schema.json", chart), "utf8"));
const valuesYaml = await readFile(new URL("values.yaml", chart), "utf8");
const values = parse(valuesYaml);

/** The paths that the agent complains of in the configuration of one address. */
function complaints(address: object, others: object = {}): string[] {
  const base = { ipAddress: "169.254.210.210", selector: "a=b" };
  try {
    parseConfig(JSON.stringify({ addresses: [{ ...base, ...address }], ...others }));
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.map(({ path }) => path);
    throw error;
  }
}

const { ipAddress, ipv6Address, namespace, ports } = schema.properties.addresses.items.properties;
const portName = ports.items.properties.name;
const cidr = schema.properties.allowedCidrs.items;

/** Field, what the schema says of it, the agent's complaints of a text in it, and texts of all kinds. */
const texts: [string, { pattern: string; maxLength?: number }, (text: string) => string[], string[]][] = [
  [
    "ipAddress",
    ipAddress,
    (text) => complaints({ ipAddress: text }),
    [
      "169.254.210.210",
      "10.0.0.256",
      "010.0.0.1",
      "1.2.3",
      "fd00::1",
      "fd00:1:2:3:4:5:6:7",
      "fd00::g",
      "::ffff:1",
      "fd00::10.1.2.3",
      "",
      "a",
    ],
  ],
  [
    "ipv6Address",
    ipv6Address,
    (text) => complaints({ ipv6Address: text }),
    ["fd00::1", "10.1.2.3", "FD00:210::", "fd00::1%eth0", ""],
  ],
  [
    "namespace",
    namespace,
    (text) => complaints({ namespace: text }),
    ["a", "a-b", "-a", "a-", "A", "a.b", "a".repeat(63), "a".repeat(64), ""],
  ],
  [
    "port name",
    portName,
    (text) => complaints({ ports: [{ port: 1, name: text }] }),
    ["apm", "1a", "1-2a-3", "12", "1-2", "a--b", "-a", "a-", "A", "a_b", "a".repeat(15), "a".repeat(16), ""],
  ],
  [
    "allowedCidrs",
    cidr,
    (text) => complaints({}, { allowedCidrs: ["0.0.0.0/0", text] }),
    ["10.0.0.0/8", "10.0.0.0/33", "10.0.0.0", "fd00::/8", "fd00::/129", "fd00::/08", ""],
  ],
];

describe("the schema of the values and the agent", () => {
  it.each(texts)(
    "agree on %s: what Helm refuses, the agent would refuse too",
    (_, { pattern, maxLength = Infinity }, faults, all) => {
      const isRefused = (text: string) => !new RegExp(pattern).test(text) || text.length > maxLength;
      const [refused, taken] = [all.filter(isRefused), all.filter((text) => !isRefused(text))];
      expect(refused).not.toEqual([]);
      expect(refused.filter((text) => faults(text).length === 0)).toEqual([]);
      // Helm's sieve is coarser, but not so coarse that all falls to the agent.
      expect(taken.filter((text) => faults(text).length === 0)).not.toEqual([]);
    },
  );

  it.each(texts.filter(([field]) => ["namespace", "port name"].includes(field)))(
    "agree on %s to the letter",
    (_, { pattern, maxLength = Infinity }, faults, all) => {
      const taken = all.filter((text) => new RegExp(pattern).test(text) && text.length <= maxLength);
      expect(taken).toEqual(all.filter((text) => faults(text).length === 0));
    },
  );

  it.each([0, 1, 65535, 65536, 1.5])("agree on the port %d", (port) => {
    const { minimum, maximum, type } = ports.items.properties.port;
    expect(type).toBe("integer");
    const isRefused = port < minimum || port > maximum || !Number.isInteger(port);
    expect(complaints({ ports: [{ port }] }).length > 0).toBe(isRefused);
  });

  it("agree on the defaults of the agent's settings, but for the port that the chart derives", () => {
    const settings = configShape.omit({ instance: true, addresses: true, healthPort: true }).shape;
    const defaults = Object.entries(settings).map(
      ([name, shape]) => [name, shape.parse(undefined) ?? null] as const,
    );
    expect(Object.fromEntries(defaults.map(([name]) => [name, values[name]]))).toEqual(
      Object.fromEntries(defaults),
    );
  });
});

describe("values.yaml", () => {
  it("explains every value", () => {
    const explained = explainedValues(valuesYaml).map(({ path }) => path);
    const isExplained = (path: string, value: unknown): boolean =>
      explained.includes(path) ||
      (typeof value === "object" &&
        value !== null &&
        Object.entries(value).every(([key, inner]) => isExplained(`${path}.${key}`, inner)));
    expect(Object.entries(values).filter(([key, value]) => !isExplained(key, value))).toEqual([]);
  });

  it("names every field of an address and of a port", () => {
    const comment = valuesYaml.slice(0, valuesYaml.indexOf("addresses: []"));
    const named = [...comment.matchAll(/^# {6,8}(\w+) {2,}/gm)].map(([, name]) => name);
    const { properties } = schema.properties.addresses.items;
    expect(named.sort()).toEqual([...Object.keys(properties), ...Object.keys(ports.items.properties)].sort());
  });
});

describe("the explained values", () => {
  it("are the first paragraphs of `# --` comments, and the default that follows", () => {
    const yaml =
      "# -- Of all.\n# Still.\n#\n#   more\na: 1\n\nb:\n  # -- Inner.\n  c: [x]\n  d: 2\n# No dashes.\ne: 3\n";
    expect(explainedValues(yaml)).toEqual([
      { path: "a", text: "Of all. Still.", default: 1 },
      { path: "b.c", text: "Inner.", default: ["x"] },
    ]);
  });
});
