// Prints the CHANGELOG's section of a version: `node .github/release-notes.mjs 1.2.3`.
import { readFileSync } from "node:fs";

const [version = ""] = process.argv.slice(2);
const changelog = readFileSync(new URL("../CHANGELOG.md", import.meta.url), "utf8");
const sections = changelog.split(/^## /m).slice(1);
const section = sections.find((text) => text.split(/\s/, 1)[0] === version);
if (!section) {
  const known = sections.map((text) => text.split("\n", 1)[0]).join(", ");
  console.error(`CHANGELOG.md has no section "## ${version}" (it has: ${known})`);
  process.exit(1);
}
console.log(section.slice(section.indexOf("\n")).trim());
