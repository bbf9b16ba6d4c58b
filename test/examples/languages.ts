import type { Schema } from "../component/plugin.ts";

/** What a program in another language says of the package, each part by its name in Pulumi's schema. */
export interface Mentions {
  /** Types: resources, objects and enums. */
  types: string[];
  /** Inputs of resources and fields of objects. */
  inputs: string[];
  /** Outputs of resources. */
  outputs: string[];
}

/** Which of the names the schema does not have: `type X`, `input x`, `output x`. */
export function unknownTo(schema: Schema, { types, inputs, outputs }: Mentions): string[] {
  const resources = Object.values(schema.resources);
  const objects = Object.values(schema.types).map(({ properties = {} }) => properties);
  const known = {
    type: [...Object.keys(schema.resources), ...Object.keys(schema.types)].map(
      (token) => token.split(":")[2],
    ),
    input: [...resources.map(({ inputProperties }) => inputProperties), ...objects].flatMap((each) =>
      Object.keys(each),
    ),
    output: resources.flatMap(({ properties }) => Object.keys(properties)),
  };
  const missing = (kind: keyof typeof known, names: string[]) =>
    [...new Set(names)].filter((name) => !known[kind].includes(name)).map((name) => `${kind} ${name}`);
  return [...missing("type", types), ...missing("input", inputs), ...missing("output", outputs)];
}

/** The names in a Python program, where a generated package has snake_case, and Args behind the names of objects. */
export function mentionsOfPython(source: string): Mentions {
  const types = found(source, /\bmagic_ip_address\.([A-Z]\w*)/g).map((name) => name.replace(/Args$/, ""));
  const camelCase = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  const outputs = found(source, /\bmagic_ip\.(\w+)/g);
  return { types, inputs: found(source, /[\s(]([a-z_]+)=/g).map(camelCase), outputs: outputs.map(camelCase) };
}

/** The names in a Go program, where constructors begin with New, objects end with Args, lists with Array, enums with a value. */
export function mentionsOfGo(source: string): Mentions {
  const types = found(source, /\bmagicipaddress\.([A-Z]\w*)/g).map((name) =>
    name.replace(/^New|(Args|Array)$/g, "").replace(/([a-z])[A-Z]+$/, "$1"),
  );
  const lowered = (name: string) => name.replace(/^./, (letter) => letter.toLowerCase());
  const fields = [...found(source, /\b([A-Z]\w*): +\w/g), ...found(source, /\bagent\.(\w+)/g)];
  return { types, inputs: fields.map(lowered), outputs: found(source, /\bmagicIP\.(\w+)/g).map(lowered) };
}

/** The names in a Pulumi YAML program. */
export function mentionsOfYaml({ resources, outputs }: YamlProgram): Mentions {
  return {
    types: Object.values(resources).map(({ type }) => type.split(":")[2] ?? type),
    inputs: Object.values(resources).flatMap(({ properties }) => keys(properties)),
    outputs: Object.values(outputs).flatMap((text) => found(text, /^\$\{[\w-]+\.(\w+)/g)),
  };
}

interface YamlProgram {
  resources: Record<string, { type: string; properties: object }>;
  outputs: Record<string, string>;
}

function keys(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(keys);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) => [key, ...keys(each)]);
}

function found(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, name = ""]) => name);
}
