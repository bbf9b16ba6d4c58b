import { writeFile } from "node:fs/promises";
import { generated, read } from "./generated.ts";

for (const { path, text } of await generated()) {
  const isFresh = (await read(path).catch(() => "")) === text;
  if (!isFresh) await writeFile(new URL(`../../${path}`, import.meta.url), text);
  console.log(`${isFresh ? "unchanged" : "written  "} ${path}`);
}
