import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Where words come from for somebody whose arguments are wrong; the others hold examples, owners, and a broken package's end. */
const sources = globSync("component/{*,address/*}.ts", { cwd: root }).filter(
  (file) => !/installationShape|reserved|chartDirectory/.test(file),
);

/** Every text of a file, in its parts between the expressions that are written into it. */
function textsOf(file: string): string[][] {
  const texts: string[][] = [];
  const visit = (node: ts.Node) => {
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) texts.push([node.text]);
    if (ts.isTemplateExpression(node))
      texts.push([node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)]);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, readFileSync(root + file, "utf8"), ts.ScriptTarget.Latest));
  return texts;
}

/** Four words and more make a message. */
const messages = sources.flatMap((file) =>
  textsOf(file)
    .filter((parts) => parts.join("…").trim().split(/\s+/).length > 3)
    .map((parts) => ({ file, parts })),
);

const read = globSync("test/{component,agent,pulumi}/*.test.ts", { cwd: root })
  .flatMap(textsOf)
  .map((parts) => parts.join("…"));

describe("every message about arguments", () => {
  it.each(messages.map(({ file, parts }) => [`${file}: ${parts.join("…")}`, parts] as const))(
    "is read by a test: %s",
    (_, parts) => {
      const pattern = new RegExp(parts.map((part) => RegExp.escape(part)).join(".*"), "s");
      expect(read.some((text) => pattern.test(text))).toBe(true);
    },
  );

  it("is found", () => {
    expect(messages.length).toBeGreaterThan(50);
  });
});
