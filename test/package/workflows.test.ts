import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { buildGoTools } from "../support/build.ts";
import { REPOSITORY } from "./packed.ts";

const workflows = join(REPOSITORY, ".github/workflows");

let actionlint: string;
beforeAll(async () => {
  const directory = fileURLToPath(new URL("./actionlint", import.meta.url));
  const packages = ["github.com/rhysd/actionlint/cmd/actionlint"];
  actionlint = join(await buildGoTools({ name: "actionlint", directory, packages }), "actionlint");
});

describe("the workflows", () => {
  it("are what GitHub takes, says actionlint", async () => {
    const files = (await readdir(workflows)).map((file) => join(workflows, file));
    expect(files).toHaveLength(2);
    const { all } = await execa(actionlint, ["-no-color", "-shellcheck=", ...files], {
      reject: false,
      all: true,
    });
    expect(all).toBe("");
  });

  it("run what CI runs here, and keep every right to themselves that a job does not name", async () => {
    const [ci = "", release = ""] = await Promise.all(
      ["ci.yml", "release.yml"].map((file) => readFile(join(workflows, file), "utf8")),
    );
    expect(ci).toContain("bash .ci/run");
    expect(release).toContain("uses: ./.github/workflows/ci.yml");
    for (const text of [ci, release]) expect(text).toMatch(/^permissions:\n {2}contents: read$/m);
  });

  it("release nothing that does not say where it is from, and the npm package last", async () => {
    const { jobs } = parse(await readFile(join(workflows, "release.yml"), "utf8"));
    const commands = (job: string) =>
      jobs[job].steps
        .map(({ run = "" }: { run?: string }) => run.split(" --", 1)[0])
        .filter((command: string) => /stamp|publish|helm package/.test(command));
    expect(commands("package")).toEqual(["node .github/stamp.mjs", "npm publish"]);
    expect(commands("chart")).toEqual(["node .github/stamp.mjs", "helm package component/chart"]);
    expect(jobs.package.needs).toEqual(expect.arrayContaining(["checks", "version", "image", "chart"]));
  });
});

describe("a release's notes", () => {
  const notes = (version: string) =>
    execa(process.execPath, [join(REPOSITORY, ".github/release-notes.mjs"), version], { reject: false });

  it("are the CHANGELOG's section of that version", async () => {
    const { exitCode, stdout } = await notes("Unreleased");
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^- /);
    expect(stdout).not.toMatch(/^## /m);
  });

  it("are asked for where the CHANGELOG has none", async () => {
    const { exitCode, stderr } = await notes("77.0.0");
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^CHANGELOG\.md has no section "## 77\.0\.0" \(it has: Unreleased/);
  });
});
