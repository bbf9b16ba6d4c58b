import type * as z from "zod";
import { addressShape, configShape } from "../../agent/config/schema.ts";
import { explainedValues } from "./values-comments.ts";

/** The chart's values, one a line, with what values.yaml says of each. */
export function valuesTable(valuesYaml: string): string {
  const rows = explainedValues(valuesYaml).map(({ path, text, default: value }) => [
    `\`${path}\``,
    text,
    code(value),
  ]);
  return table(["value", "meaning", "default"], rows);
}

/** The fields of an address, and of its ports. */
export function addressTable(): string {
  return table(["field", "meaning"], addressRows(""));
}

/** The fields of the agent's configuration file. */
export function configurationTable(): string {
  const settings = configShape.omit({ addresses: true }).shape;
  const rows = Object.entries(settings).map(([name, shape]) => [`\`${name}\``, defaulted(shape)]);
  return table(["field", "meaning"], [...rows, ...addressRows("addresses[].")]);
}

function addressRows(prefix: string): string[][] {
  const { ports, ...others } = addressShape.shape;
  const port = ports.unwrap().element.shape;
  return [
    ...Object.entries(others).map(([name, shape]) => [`\`${prefix}${name}\``, shape.description ?? ""]),
    [`\`${prefix}ports\``, ports.description ?? ""],
    ...Object.entries(port).map(([name, shape]) => [`\`${prefix}ports[].${name}\``, shape.description ?? ""]),
  ];
}

function defaulted(shape: z.ZodType): string {
  const value = shape.safeParse(undefined);
  const isGiven = value.success && value.data !== undefined;
  return `${shape.description}${isGiven ? ` (default: ${code(value.data)})` : ""}`;
}

function code(value: unknown): string {
  return `\`${JSON.stringify(value)}\``;
}

function table(header: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  return [line(header), line(header.map(() => "---")), ...rows.map(line)].join("");
}
