import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { parseConfig } from "../../agent/config/config.ts";
import packageJson from "../../package.json" with { type: "json" };
import { chart, configText, helm, render } from "./render.ts";

describe("Chart.yaml", async () => {
  const { version, appVersion, annotations } = parse(await readFile(`${chart}/Chart.yaml`, "utf8"));
  const annotation = (name: string) => parse(annotations[`artifacthub.io/${name}`]);

  it("has the version of the package, for itself and the image", () => {
    expect([version, appVersion]).toEqual([packageJson.version, packageJson.version]);
    expect(annotation("images")).toEqual([
      { name: "agent", image: `magic-ip-address-agent:${packageJson.version}` },
    ]);
  });

  it("tells Artifact Hub what it knows to show", () => {
    expect(annotation("category")).toBe("networking");
    expect(annotation("license")).toBe(packageJson.license);
    for (const { name, url } of annotation("links"))
      expect([name, url]).toEqual([expect.any(String), expect.stringMatching(/^https:/)]);
    for (const { kind, description } of annotation("changes")) {
      expect(["added", "changed", "deprecated", "removed", "fixed", "security"]).toContain(kind);
      expect(description).toMatch(/./);
    }
  });
});

const files = readdirSync(`${chart}/ci`);

describe.each(files)("ci/%s", (file) => {
  it("passes helm lint, and gives the agent a configuration that it takes", async () => {
    expect(file).toMatch(/^[a-z-]+-values\.yaml$/);
    const values = await readFile(`${chart}/ci/${file}`, "utf8");
    const { exitCode, stdout } = await helm(["lint", "--strict", chart, "--values", "-"], values);
    expect([exitCode, stdout]).toEqual([0, expect.stringContaining("0 chart(s) failed")]);
    const manifests = await render({ values, namespace: "observability" });
    expect(parseConfig(configText(manifests)).addresses).not.toEqual([]);
  });
});
