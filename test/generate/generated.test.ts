import { expect, it } from "vitest";
import { generated, read } from "./generated.ts";

it.each(await generated())("$path is what `npm run generate` writes", async ({ path, text }) => {
  expect(await read(path)).toBe(text);
});
