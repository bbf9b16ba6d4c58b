import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { exampleNames, examples, readExample } from "./example.ts";

const index = readFileSync(`${examples}/README.md`, "utf8");

/** How each kind of example is run. */
const commands: Record<string, string> = { "helm-only": "$ helm install " };

describe("the list of examples", () => {
  it("has every directory, and nothing that is not there", () => {
    const listed = [...index.matchAll(/\[([\w-]+)\]\(\1\)/g)].map(([, name]) => name);
    expect(listed.sort()).toEqual(exampleNames.toSorted());
  });

  it.each(exampleNames)("gives the ports of %s", async (example) => {
    const row = index.split("\n").find((line) => line.includes(`(${example})`)) ?? "";
    const ports = [...row.matchAll(/\b(\d+)\/(?:TCP|UDP)/g)].map(([, port]) => port);
    expect(ports).not.toEqual([]);
    const readme = await readExample(example, "README.md");
    expect(ports.filter((port = "") => !readme.includes(port))).toEqual([]);
  });
});

describe.each(exampleNames)("the README of %s", (example) => {
  it("says how to run it, what to see, what the target needs and what to change", async () => {
    const readme = await readExample(example, "README.md");
    const headings = [...readme.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
    expect(headings).toEqual(expect.arrayContaining(["Run it", "What you see", "What to change"]));
    expect(headings.join()).toMatch(/What the targets? needs?/);
    expect(readme.split("## Run it")[1]?.split("\n## ")[0]).toContain(commands[example] ?? "\n$ pulumi up\n");
  });

  it("links to what is there", async () => {
    const links = [
      ...(await readExample(example, "README.md")).matchAll(/\]\((?!https?:)([^)#]+)(#[^)]*)?\)/g),
    ];
    for (const [, path = ""] of links) expect(existsSync(`${examples}/${example}/${path}`), path).toBe(true);
  });
});

describe("the images of the examples", async () => {
  const files = exampleNames.flatMap((example) =>
    ["index.ts", "targets.ts", "target.yaml", "application.yaml"].map((file) => [example, file] as const),
  );
  const there = files.filter((path) => existsSync(`${examples}/${path.join("/")}`));
  const texts = await Promise.all(there.map(([example, file]) => readExample(example, file)));
  const images = texts.flatMap((text) =>
    [...text.matchAll(/\bimage: "?([\w./:-]+)"?,?$/gm)].map(([, image]) => image),
  );

  it.each([...new Set(images)])("%s has a version", (image) => {
    expect(image).toMatch(/:\d+\.\d+\.\d+(-alpine)?$/);
  });

  it("are found", () => {
    expect(images.length).toBeGreaterThan(10);
  });
});
