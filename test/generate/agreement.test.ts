import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { configShape } from "../../agent/config/schema.ts";
import { explainedValues } from "./values-comments.ts";

const chart = new URL("../../component/chart/", import.meta.url);
const schema = JSON.parse(await readFile(new URL("values.schema.json", chart), "utf8"));
const valuesYaml = await readFile(new URL("values.yaml", chart), "utf8");
const values = parse(valuesYaml);

/** Every schema within the schema, with its path. */
function within(inner: object, path = "$"): [string, Record<string, unknown>][] {
  const here = [path, inner] as [string, Record<string, unknown>];
  const inside = Object.entries(inner).filter(([key, value]) => key !== "default" && Object(value) === value);
  return [here, ...inside.flatMap(([key, value]) => within(value as object, `${path}.${key}`))];
}

describe("the schema of the values", () => {
  const limits = [
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "required",
    "format",
    "const",
  ];

  it("knows names and kinds alone: Helm shows patterns as they are, and stops before the templates say what is wrong", () => {
    expect(
      within(schema).filter(([, inner]) => limits.some((limit) => typeof inner[limit] !== "undefined")),
    ).toEqual([]);
  });

  it("offers editors the words, and lets the templates refuse others", () => {
    const offering = within(schema).filter(([, { anyOf }]) => anyOf !== undefined);
    expect(offering.map(([path]) => path.split(".").at(-1))).toEqual(
      expect.arrayContaining(["backend", "masquerade", "whenNoTarget", "protocol", "pullPolicy", "type"]),
    );
    for (const [, { anyOf }] of offering) expect(anyOf).toEqual([{ enum: expect.any(Array) }, {}]);
    expect(within(schema).filter(([path, inner]) => "enum" in inner && !path.includes(".anyOf."))).toEqual(
      [],
    );
  });

  it("refuses unknown names wherever the chart reads names", () => {
    const open = within(schema).filter(
      ([, inner]) => "properties" in inner && inner.additionalProperties !== false,
    );
    expect(open.map(([path]) => path)).toEqual([]);
  });
});

describe("the values and the agent", () => {
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
    const ofPort = Object.keys(properties.ports.items.properties);
    expect(named.sort()).toEqual([...Object.keys(properties), ...ofPort].sort());
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
