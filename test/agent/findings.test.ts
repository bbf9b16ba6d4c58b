import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** In the doctor's sources: the codes of objects with a severity, and all texts that look like a code. */
function codesOfSources(): { codes: Set<string>; texts: Set<string> } {
  const [codes, texts] = [new Set<string>(), new Set<string>()];
  const collect = (into: Set<string>) => (node: ts.Node) => {
    if (ts.isStringLiteral(node) && /^[A-Z][A-Z0-9_]+$/.test(node.text)) into.add(node.text);
    ts.forEachChild(node, collect(into));
  };
  const visit = (node: ts.Node) => {
    if (ts.isObjectLiteralExpression(node)) {
      const named = new Map(node.properties.map((property) => [property.name?.getText(), property]));
      const code = named.get("code");
      if (code !== undefined && named.has("severity")) collect(codes)(code);
    }
    ts.forEachChild(node, visit);
  };
  for (const file of globSync("agent/doctor/*.ts", { cwd: root })) {
    const source = ts.createSourceFile(file, readFileSync(root + file, "utf8"), ts.ScriptTarget.Latest, true);
    visit(source);
    collect(texts)(source);
  }
  return { codes, texts };
}

/** The first column of the table of findings. */
function codesOfReadme(): Set<string> {
  const [, table = ""] = readFileSync(`${root}agent/README.md`, "utf8").split(/^\| code +\| level .*\n/m);
  const rows = table.slice(0, table.indexOf("\n\n")).split("\n");
  return new Set(
    rows.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`(\w+)`/g)].map(([, code = ""]) => code)),
  );
}

it("every finding stands in the README, and every one of the README is found by something", () => {
  const { codes, texts } = codesOfSources();
  const told = codesOfReadme();
  expect(codes.size).toBeGreaterThan(25);
  expect([...codes.difference(told)]).toEqual([]);
  expect([...told.difference(texts)]).toEqual([]);
});

/** What stands for a value in a message, or between two parts that the agent puts together. */
const values = /…|403|127\.0\.0\.1|\/metrics|[,;:](?= |$)|magic-ip-address\/agent-not-ready/;

/** Messages of tools that the agent hands on. */
const ofTools = [/xtables lock/, /Bad rule/];

it("every message of the README is one of the agent's", () => {
  const [, table = ""] = readFileSync(`${root}agent/README.md`, "utf8").split(/^\| message +\| .*\n/m);
  const rows = table.slice(0, table.indexOf("\n\n")).split("\n").slice(1);
  const messages = rows.flatMap((row) => /`([^`]+)`/.exec(row)?.[1] ?? []);
  const sources = globSync("agent/**/*.ts", { cwd: root, exclude: ["agent/node_modules/**"] })
    .map((file) => readFileSync(root + file, "utf8").replace(/\$\{[^}]*\}/g, "…"))
    .join("\n");
  const isKnown = (message: string) => message.split(values).every((part) => sources.includes(part.trim()));
  expect(messages.length).toBeGreaterThan(12);
  expect(
    messages.filter((message) => !isKnown(message) && !ofTools.some((tool) => tool.test(message))),
  ).toEqual([]);
});
