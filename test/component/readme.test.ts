import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { installationShape } from "../../component/installationShape.ts";
import type { Shape } from "../../component/shape.ts";
import { Client, MagicIpAddress, MagicIpAddresses } from "../../index.ts";
import packageJson from "../../package.json" with { type: "json" };
import { mockPulumi } from "./installation.ts";

await mockPulumi();

const text = readFileSync(new URL("../../component/README.md", import.meta.url), "utf8");

/** The first column of the table under a heading, without what is no code. */
function rowsOf(heading: string): string[] {
  const [, section = ""] = text.split(`\n${heading}\n`);
  const [own = ""] = section.split(/\n##/);
  return [...own.matchAll(/^\| `(\w+)`/gm)].map(([, name = ""]) => name);
}

function fieldsOf(shape: Shape | undefined): string[] {
  if (shape?.is === "list") return fieldsOf(shape.of);
  return shape?.is === "object" ? Object.keys(shape.fields).sort() : [];
}

function at(shape: Shape, field: string): Shape | undefined {
  const one = shape.is === "list" ? shape.of : shape;
  return one.is === "object" ? one.fields[field] : undefined;
}

describe("the component's README", () => {
  const address = at(installationShape, "addresses") as Shape;

  it("has every argument", () => {
    const own = fieldsOf(installationShape).filter((field) => field !== "addresses");
    expect(rowsOf("## Arguments").sort()).toEqual([...fieldsOf(address), ...own].sort());
    expect(rowsOf("### `ports`").sort()).toEqual(fieldsOf(at(address, "ports")));
    expect(rowsOf("### `agent`").sort()).toEqual(fieldsOf(at(installationShape, "agent")));
  });

  it("has every output, and every client", () => {
    const right = { ipAddress: "169.254.210.210", selector: "a=b" };
    const outputs = [
      new MagicIpAddress("a", right),
      new MagicIpAddresses("b", { addresses: [right] }),
    ].flatMap((component) => Object.keys(component).filter((key) => !key.startsWith("__") && key !== "urn"));
    const rows = rowsOf("## Outputs");
    expect(rows).toEqual(expect.arrayContaining([...new Set(outputs)]));
    expect(rows).toEqual(expect.arrayContaining(Object.keys(Client)));
  });
});

describe("the Node.js that the package needs", () => {
  const documents = ["README.md", "component/README.md"];
  const examples = ["python", "yaml", "go"].map((example) => `examples/${example}/README.md`);

  it.each([...documents, ...examples])("is named in %s", (file) => {
    const [, version = ""] = /^>=(\d+\.\d+)\.\d+$/.exec(packageJson.engines.node) ?? [];
    expect(readFileSync(new URL(`../../${file}`, import.meta.url), "utf8")).toContain(`Node.js ≥ ${version}`);
  });
});
