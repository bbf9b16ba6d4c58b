import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { expect } from "vitest";

/**
 * Holds text against a golden file beside the test. It is only written with UPDATE_GOLDEN=1, and not in CI,
 * where it would agree with whatever was made; a missing one fails.
 */
export function expectGolden(file: URL, text: string): void {
  if (process.env.UPDATE_GOLDEN === "1") {
    if (process.env.CI)
      throw new Error("UPDATE_GOLDEN=1 is refused where CI is set: goldens are held against there");
    mkdirSync(dirname(file.pathname), { recursive: true });
    writeFileSync(file, text);
  }
  expect(text).toBe(readFileSync(file, "utf8"));
}
