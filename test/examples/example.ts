import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments } from "yaml";

/** The directory of the examples. */
export const examples = fileURLToPath(new URL("../../examples", import.meta.url));

/** The names of all examples. */
export const exampleNames = readdirSync(examples, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

/** The text of an example's file. */
export async function readExample(example: string, file: string): Promise<string> {
  return readFile(`${examples}/${example}/${file}`, "utf8");
}

/** What is in an example's YAML file, of several documents the first. */
export async function readYaml(example: string, file: string) {
  return parse(await readExample(example, file));
}

/** The Kubernetes objects in an example's YAML file. */
export async function readObjects(example: string, file: string) {
  return parseAllDocuments(await readExample(example, file)).map((document) => document.toJS());
}

/** Environment variables, in their order. */
export type Environment = [name: string, value: string][];

/** The tables of variables in an example's README: what it says that applications are told. */
export async function promisedEnvironments(example: string): Promise<Environment[]> {
  const tables = (await readExample(example, "README.md")).split("| variable ").slice(1);
  return tables.map((table) =>
    [...(table.split("\n\n")[0] ?? "").matchAll(/^\| `(\w+)` +\| `(\S+)` +\|$/gm)].map(
      ([, name = "", value = ""]): [string, string] => [name, value],
    ),
  );
}
