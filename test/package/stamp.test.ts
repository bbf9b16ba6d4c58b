import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import packageJson from "../../package.json" with { type: "json" };
import { oneAddress, only, render } from "../chart/render.ts";
import { REPOSITORY } from "./packed.ts";

const github = { GITHUB_SERVER_URL: "https://github.com", GITHUB_REPOSITORY: "Some-Org/Magic-IP" };
const image = "ghcr.io/some-org/magic-ip-address-agent";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "magic-ip-stamp-"));
  for (const name of [".github", "component", "package.json", "README.md"])
    await cp(join(REPOSITORY, name), join(directory, name), { recursive: true });
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const read = (file: string) => readFile(join(directory, file), "utf8");
const stamp = (env: Record<string, string> = github) =>
  execa(process.execPath, [join(directory, ".github/stamp.mjs")], { env, extendEnv: false, reject: false });

describe("a release's stamp", () => {
  it("makes the chart run the image that the release pushes", async () => {
    expect(await stamp()).toMatchObject({ exitCode: 0, stderr: "" });
    const chart = join(directory, "component/chart");
    const daemonSet = only(await render({ values: oneAddress(), chart }), "DaemonSet");
    expect(daemonSet.spec.template.spec.containers[0].image).toBe(`${image}:${packageJson.version}`);
    const { annotations } = parse(await read("component/chart/Chart.yaml"));
    expect(parse(annotations["artifacthub.io/images"])).toEqual([
      { name: "agent", image: `${image}:${packageJson.version}` },
    ]);
    const { properties } = JSON.parse(await read("component/chart/values.schema.json"));
    expect(properties.image.properties.repository.default).toBe(image);
  });

  it("gives package.json the repository that npm compares with the provenance, and changes nothing else in it", async () => {
    await stamp();
    expect(JSON.parse(await read("package.json"))).toEqual({
      ...packageJson,
      repository: { type: "git", url: "git+https://github.com/Some-Org/Magic-IP.git" },
    });
  });

  it.each(["component/README.md", "component/agent.ts", "component/chart/README.md"])(
    "names that image as the default in %s",
    async (file) => {
      await stamp();
      const text = await read(file);
      expect(text).toContain(image);
      expect(text).not.toMatch(/[`"]magic-ip-address-agent|OWNER/);
    },
  );

  it("says in README.md where image and chart are, and leaves a clone its own", async () => {
    await stamp();
    const text = await read("README.md");
    expect(text).toContain(`${image}:<version>`);
    expect(text).toContain("oci://ghcr.io/some-org/charts/magic-ip-address");
    expect(text).toContain("| `image` | `magic-ip-address-agent:<version>` |");
    expect(text).not.toContain("OWNER");
  });

  it.each([
    ["component/chart/values.yaml", 'no "\\n  repository: magic-ip-address-agent\\n"'],
    ["component/chart/values.schema.json", 'no "\\"default\\": \\"magic-ip-address-agent\\""'],
    ["component/chart/Chart.yaml", 'no " image: magic-ip-address-agent:"'],
    ["component/chart/README.md", 'no "ghcr.io/OWNER/"'],
    ["component/agent.ts", 'no "`magic-ip-address-agent:<version>`"'],
    ["component/README.md", 'no "`magic-ip-address-agent:<version>`"'],
    ["README.md", 'no "ghcr.io/OWNER/"'],
  ])("refuses where %s has nothing to replace, and touches no file", async (file, complaint) => {
    await writeFile(join(directory, file), "");
    const { exitCode, stderr } = await stamp();
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`stamp: ${file} has ${complaint} to replace`);
    expect(JSON.parse(await read("package.json"))).toEqual(packageJson);
  });

  it.each([
    [{ GITHUB_REPOSITORY: "a/b" }, 'stamp: GITHUB_SERVER_URL is "", not as https://github.com'],
    [{ GITHUB_SERVER_URL: "https://github.com" }, 'stamp: GITHUB_REPOSITORY is "", not OWNER/REPOSITORY'],
    [{ ...github, GITHUB_REPOSITORY: "a" }, 'stamp: GITHUB_REPOSITORY is "a", not OWNER/REPOSITORY'],
  ])("refuses outside of a release, with %j", async (env, complaint) => {
    expect(await stamp(env)).toMatchObject({ exitCode: 1, stderr: complaint });
  });
});
