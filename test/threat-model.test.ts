import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const document = readFileSync(`${root}SECURITY.md`, "utf8");

/** Tests that a text names, as `kernel/forged › is dropped before its target sees it`. */
function named(text: string): string[][] {
  const marked = text.matchAll(/`([a-z-]+\/[a-z-]+(?: › [^`]+)?)`/g);
  return [...marked].map(([, name = ""]) => name.split(" › ")).filter(([file]) => file !== "room/file");
}

/** Why it does not name a test that exists; undefined when it does. */
function fault([file = "", ...titles]: string[]): string | undefined {
  const path = `${root}test/${file}.test.ts`;
  if (!existsSync(path)) return `there is no test/${file}.test.ts`;
  const source = readFileSync(path, "utf8");
  const missing = titles.find((title) => !source.includes(title));
  return missing === undefined ? undefined : `test/${file}.test.ts has no "${missing}"`;
}

const [, model = ""] = document.split("## Who can do what\n");
const [sections = ""] = model.split("\n## ");
const actors = sections.split("\n### ").slice(1);
const anchors = actors.map((section) =>
  (section.split("\n")[0] ?? "")
    .toLowerCase()
    .replaceAll(/[^a-z_ -]/g, "")
    .replaceAll(" ", "-"),
);

describe("SECURITY.md", () => {
  it("names tests that exist", () => {
    expect(named(document).length).toBeGreaterThan(30);
    expect(
      named(document)
        .map(fault)
        .filter((each) => each !== undefined),
    ).toEqual([]);
  });

  it("says of each actor in the table, for each cell, what tried it or why nothing did", () => {
    const rows = [...sections.matchAll(/^\| \[[^\]]+\]\(#([^)]+)\) \|/gm)].map(([, anchor]) => anchor);
    expect(rows).toEqual(anchors);
    for (const section of actors) {
      const cells = section.split(/^- \*\*/m).slice(1);
      const names = cells.map((cell) => cell.split("**")[0]);
      expect(names.slice(0, 3), section).toEqual(["Redirect", "Read", "Deny"]);
      for (const cell of cells) expect(named(cell).length > 0 || /not tried/i.test(cell), cell).toBe(true);
    }
  });
});
