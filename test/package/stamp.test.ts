import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import packageJson from "../../package.json" with { type: "json" };
import { helm, oneAddress, only, render } from "../chart/render.ts";
import { REPOSITORY } from "./packed.ts";

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
const github = {
  GITHUB_SERVER_URL: "https://github.com",
  GITHUB_REPOSITORY: "Some-Org/Magic-IP",
  IMAGE_DIGEST: digest,
};
const home = "https://github.com/Some-Org/Magic-IP";
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

async function agentImage(values: object = {}): Promise<string> {
  const chart = join(directory, "component/chart");
  const manifests = await render({ values: { ...oneAddress(), image: values }, chart });
  return only(manifests, "DaemonSet").spec.template.spec.containers[0].image;
}

describe("a release's stamp", () => {
  it("makes the chart run the image that the release pushes, by its digest", async () => {
    expect(await stamp()).toMatchObject({ exitCode: 0, stderr: "" });
    const pinned = `${image}:${packageJson.version}@${digest}`;
    expect(await agentImage()).toBe(pinned);
    const { annotations } = parse(await read("component/chart/Chart.yaml"));
    expect(parse(annotations["artifacthub.io/images"])).toEqual([{ name: "agent", image: pinned }]);
    const { properties } = JSON.parse(await read("component/chart/values.schema.json"));
    expect(properties.image.properties.repository.default).toBe(image);
  });

  it.each([
    [{ repository: "mirror.example/agent" }, `mirror.example/agent:${packageJson.version}`],
    [{ tag: "1.2.3" }, `${image}:1.2.3`],
    [{ digest: digest.replace("0", "f") }, `${image}@${digest.replace("0", "f")}`],
    [{ repository: image }, `${image}:${packageJson.version}@${digest}`],
  ])("leaves it to values to name another image than that: %j", async (values, reference) => {
    await stamp();
    expect(await agentImage(values)).toBe(reference);
  });

  it("says in the chart where it is from, and helm lint takes it", async () => {
    await stamp();
    const chart = join(directory, "component/chart");
    expect(parse(await read("component/chart/Chart.yaml"))).toMatchObject({
      home,
      sources: [home],
      maintainers: [{ name: "The magic-ip-address authors", url: home }],
    });
    expect(await helm(["lint", "--strict", chart], "")).toMatchObject({ exitCode: 0 });
  });

  it("gives package.json the repository that npm compares with the provenance, its pages, and changes nothing else", async () => {
    await stamp();
    expect(JSON.parse(await read("package.json"))).toEqual({
      ...packageJson,
      homepage: `${home}#readme`,
      bugs: { url: `${home}/issues` },
      repository: { type: "git", url: `git+${home}.git` },
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
    expect(text).toContain(`identity=${home}/.github/workflows/release.yml@refs/tags/v1.2.3`);
    expect(text).toContain("| `image` | `magic-ip-address-agent:<version>` |");
    expect(text).not.toContain("OWNER");
  });

  it.each([
    ["component/chart/values.yaml", 'no "\\n  repository: magic-ip-address-agent\\n"'],
    ["component/chart/values.schema.json", 'no "\\"default\\": \\"magic-ip-address-agent\\""'],
    ["component/chart/Chart.yaml", 'no " image: magic-ip-address-agent:0.1.0"'],
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
    [{ ...github, GITHUB_SERVER_URL: "" }, 'stamp: GITHUB_SERVER_URL is "", not as https://github.com'],
    [{ ...github, GITHUB_REPOSITORY: "" }, 'stamp: GITHUB_REPOSITORY is "", not OWNER/REPOSITORY'],
    [{ ...github, IMAGE_DIGEST: "" }, 'stamp: IMAGE_DIGEST is "", not sha256: and 64 hexadecimal digits'],
    [{ ...github, GITHUB_REPOSITORY: "a" }, 'stamp: GITHUB_REPOSITORY is "a", not OWNER/REPOSITORY'],
  ])("refuses outside of a release, with %j", async (env, complaint) => {
    expect(await stamp(env)).toMatchObject({ exitCode: 1, stderr: complaint });
  });
});
