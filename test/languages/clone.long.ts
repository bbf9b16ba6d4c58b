import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { copyWorkingTree, REPOSITORY } from "../package/packed.ts";
import { type Cli, openCli, preview } from "./preview.ts";

let cli: Cli;
let clone: string;
beforeAll(async () => {
  cli = await openCli();
  clone = join(cli.directory, "clone");
  await copyWorkingTree(clone);
  await symlink(join(REPOSITORY, "node_modules"), join(clone, "node_modules"));
  await execa("npm", ["run", "--silent", "build"], { cwd: clone });
});
afterAll(() => cli?.remove());

/** It has Pulumi.yaml, a project, and PulumiPlugin.yaml, a package, at its root. */
describe("a clone", () => {
  it("is a program that Pulumi's CLI previews", async () => {
    const { types, outputs } = await preview(cli, clone);
    expect(types).toContain("kubernetes:apps/v1:DaemonSet");
    expect(outputs).toMatchObject({ ipAddress: "169.254.210.210", endpoint: "169.254.210.210:8126" });
  });

  it("is a package to whoever calls the CLI elsewhere", async () => {
    const schema = JSON.parse(await cli.pulumi(cli.directory, "package", "get-schema", clone));
    expect(schema).toMatchObject({ name: packageJson.name, version: packageJson.version });
  });

  it("is refused as a package in its own root, where the CLI looks for the project that wants one", async () => {
    await expect(cli.pulumi(clone, "package", "get-schema", ".")).rejects.toThrow(
      "detected both PulumiPlugin.yaml and Pulumi.yaml",
    );
  });
});
