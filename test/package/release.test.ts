import { appendFile, chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { REPOSITORY } from "./packed.ts";

const { jobs } = parse(await readFile(join(REPOSITORY, ".github/workflows/release.yml"), "utf8"));
const digest = `sha256:${"a".repeat(64)}`;
const files = {
  "image.tar": "image.tar",
  package: "npm/magic-ip-address-1.2.3.tgz",
  chart: "chart/magic-ip-address-1.2.3.tgz",
  bill: "magic-ip-address-agent.cdx.json",
  notes: "notes.md",
};

let work: string;
let sums: { image: string; others: string };
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "magic-ip-release-"));
  for (const file of Object.values(files)) {
    await mkdir(dirname(join(work, "files", file)), { recursive: true });
    await writeFile(join(work, "files", file), `the content of ${file}`);
  }
  await pack({ name: "magic-ip-address" });
  for (const name of ["cosign", "npm", "gh"]) await tool(name);
  await tool("docker", "cat > /dev/null");
  await tool("helm", `echo "Digest: ${digest}"`);
  await tool("skopeo", `echo -n ${digest} > pushed.txt`);
});
afterEach(() => rm(work, { recursive: true, force: true }));

/** Makes the npm package anew, with this package.json, and the checksums of all files. */
async function pack(...manifests: object[]) {
  const directory = join(work, "unpacked");
  for (const [index, manifest] of manifests.entries()) {
    await mkdir(join(directory, `package${index}`), { recursive: true });
    await writeFile(join(directory, `package${index}/package.json`), JSON.stringify(manifest));
  }
  const names = manifests.map((_, index) => `package${index}`);
  await execa("tar", ["--create", "--gzip", "--file", join(work, "files", files.package), ...names], {
    cwd: directory,
  });
  const { stdout } = await execa("sha256sum", Object.values(files), { cwd: join(work, "files") });
  const [image = "", ...others] = stdout.split("\n");
  sums = { image, others: others.join("\n") };
}

/** A command that writes down how it was called. */
async function tool(name: string, script = "") {
  const file = join(work, "bin", name);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\necho ${name} "$@" >> ${work}/calls\n${script}\n`);
  await chmod(file, 0o755);
}

/** Runs the scripts of a job's steps as the runner does, and returns the calls that were made so far. */
async function runJob(name: string): Promise<{ failed: boolean; calls: string[] }> {
  const values: Record<string, string> = {
    "needs.version.outputs.version": "1.2.3",
    "needs.version.outputs.owner": "some-org",
    "needs.build-image.outputs.digest": digest,
    "needs.build-image.outputs.sums": sums.image,
    "needs.build-package.outputs.sums": sums.others,
    "needs.version.outputs.channel": "latest-1.2",
    "needs.version.outputs.mark": "--latest=false",
    "github.actor": "somebody",
    "github.token": "token",
    "github.repository": "Some-Org/Magic-IP",
    "github.ref_name": "v1.2.3",
  };
  const given = (env: Record<string, string> = {}) =>
    Object.entries(env).map(([key, text]) => [
      key,
      text.replaceAll(
        /\$\{\{ (\S+) \}\}/g,
        (_, expression: string) => values[expression] ?? "not known here",
      ),
    ]);
  let failed = false;
  // The other jobs do not fetch it.
  if (name !== "image") await rm(join(work, "files/image.tar"), { force: true });
  for (const { run, env, "working-directory": directory = "." } of jobs[name].steps.filter(
    (step: { run?: string }) => step.run,
  )) {
    const variables = Object.fromEntries([...given(jobs[name].env), ...given(env)]) as Record<string, string>;
    const PATH = `${work}/bin:${process.env.PATH}`;
    const shell = ["--noprofile", "--norc", "-eo", "pipefail", "-c", run];
    const result = await execa("bash", shell, {
      cwd: join(work, directory),
      env: { ...variables, PATH },
      reject: false,
    });
    failed ||= result.failed;
    if (failed) break;
  }
  const calls = await readFile(join(work, "calls"), "utf8").catch(() => "");
  return { failed, calls: calls.split("\n").filter((line) => line !== "") };
}

const image = "ghcr.io/some-org/magic-ip-address-agent";
const login = "docker login ghcr.io --username somebody --password-stdin";

describe("a release", () => {
  it("pushes the image under the digest that it was built with, signs it and attests its bill of materials", async () => {
    expect(await runJob("image")).toEqual({
      failed: false,
      calls: [
        login,
        `skopeo copy --all --preserve-digests --digestfile pushed.txt oci-archive:files/image.tar docker://${image}:1.2.3`,
        `cosign sign --yes ${image}@${digest}`,
        `cosign attest --yes --type cyclonedx --predicate files/${files.bill} ${image}@${digest}`,
      ],
    });
  });

  it("signs no image that the registry has under another digest", async () => {
    await tool("skopeo", `echo sha256:${"b".repeat(64)} > pushed.txt`);
    const { failed, calls } = await runJob("image");
    expect(failed).toBe(true);
    expect(calls.filter((call) => call.startsWith("cosign"))).toEqual([]);
  });

  it("pushes the chart, and signs what the registry says that it took", async () => {
    expect(await runJob("chart")).toEqual({
      failed: false,
      calls: [
        login,
        `helm push files/${files.chart} oci://ghcr.io/some-org/charts`,
        `cosign sign --yes ghcr.io/some-org/charts/magic-ip-address@${digest}`,
      ],
    });
  });

  it("signs no chart that was not pushed", async () => {
    await tool("helm", "exit 1");
    const { failed, calls } = await runJob("chart");
    expect([failed, calls.some((call) => call.startsWith("cosign"))]).toEqual([true, false]);
  });

  it("publishes the archive that was built, to npm's registry, from an empty directory (N13)", async () => {
    await tool("npm", `ls -A >> ${work}/entries`);
    const options = "--ignore-scripts --provenance --access public --tag latest-1.2";
    const where = "--registry https://registry.npmjs.org/ --userconfig /dev/null";
    expect(await runJob("package")).toEqual({
      failed: false,
      calls: [`npm publish ../files/${files.package} ${options} ${where}`],
    });
    expect(await readFile(join(work, "entries"), "utf8")).toBe("");
  });

  it.each<[string, object[]]>([
    ["that says where it is published", [{ publishConfig: { registry: "http://127.0.0.1:9/" } }]],
    ["with a second package.json, of which npm may take either", [{}, {}]],
  ])("publishes no archive %s (N13)", async (_, manifests) => {
    await pack(...manifests);
    expect(await runJob("package")).toEqual({ failed: true, calls: [] });
  });

  it("creates the release at GitHub with the chart and the bill of materials", async () => {
    const options = "--verify-tag --title v1.2.3 --notes-file files/notes.md --latest=false";
    expect(await runJob("release")).toEqual({
      failed: false,
      calls: [`gh release create v1.2.3 ${options} files/${files.chart} files/${files.bill}`],
    });
  });

  it.each([
    ["image", files["image.tar"]],
    ["image", files.bill],
    ["chart", files.chart],
    ["package", files.package],
    ["release", files.notes],
  ])("job %s does nothing with a %s that is not the one that was built", async (job, file) => {
    await appendFile(join(work, "files", file), "and something else");
    expect(await runJob(job)).toEqual({ failed: true, calls: [] });
  });

  it.each(["image", "chart", "package", "release"])(
    "job %s does nothing where a file came along that no checksum names (N13)",
    async (job) => {
      for (const file of [".npmrc", "npm/more.tgz"]) {
        await writeFile(join(work, "files", file), "proxy=http://127.0.0.1:9/");
        expect(await runJob(job), file).toEqual({ failed: true, calls: [] });
        await rm(join(work, "files", file));
      }
    },
  );
});

describe("a release's place among the others (N12)", () => {
  const script = join(REPOSITORY, ".github/channel.mjs");
  const channelOf = (version: string, ...tags: string[]) =>
    execa(process.execPath, [script, version], { input: tags.join("\n"), reject: false });

  it.each([
    ["1.2.3", ["v1.2.3"], "latest", "--latest"],
    ["1.10.0", ["v1.2.3", "v1.9.9", "v1.10.0"], "latest", "--latest"],
    ["2.0.0-rc.1", ["v1.2.3", "v2.0.0-rc.1"], "next", "--prerelease"],
    ["1.2.3", ["v1.2.3", "v1.3.0-rc.1"], "latest", "--latest"],
    ["1.2.4", ["v1.2.4", "v1.10.0"], "latest-1.2", "--latest=false"],
    ["1.2.4", ["v2.0.0", "other", "1.9.0"], "latest-1.2", "--latest=false"],
  ])("of %s beside %j is %s", async (version, tags, channel, mark) => {
    const { stdout } = await channelOf(version, ...tags);
    expect(stdout).toBe(`channel=${channel}\nmark=${mark}`);
  });

  it.each(["1.2", "1.2.3+build", "01.2.3", "1.2.3-", "1.2.3-01", ""])("has no %j", async (version) => {
    const { exitCode, stderr } = await channelOf(version);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining(`"${version}" is no version`)]);
  });

  it("is what npm and GitHub are told", async () => {
    expect((await runJob("package")).calls.join()).toContain(" --tag latest-1.2 ");
    expect(jobs.version.steps.at(-1).run).toContain('| node .github/channel.mjs "$version" |');
  });
});

describe("README's verification", () => {
  it("asks cosign for every signature and attestation that a release makes, and for no other", async () => {
    await runJob("image");
    const { calls } = await runJob("chart");
    const made = calls.flatMap((call) => {
      const [, verb = "", target] = /^cosign (\w+) .*?(\S+)@sha256:/.exec(call) ?? [];
      return target === undefined ? [] : `${verb} ${target}`;
    });
    const readme = await readFile(join(REPOSITORY, "README.md"), "utf8");
    const asked = [
      ...readme.matchAll(
        /^cosign (\S+) --certificate-identity "\$identity" --certificate-oidc-issuer "\$issuer" \\\n .*?(ghcr\.io\/\S+):1\.2\.3/gm,
      ),
    ].map(([, verb = "", target = ""]) => `${verb} ${target.replace("OWNER", "some-org")}`);
    const answers: Record<string, string> = { verify: "sign", "verify-attestation": "attest" };
    expect(asked.map((each) => each.replace(/^\S+/, (verb) => answers[verb] ?? verb))).toEqual(made);
    expect(made).toHaveLength(3);
    // A comment is none in an interactive zsh, and a variable is one word.
    const block = readme.split("```").find((text) => text.includes("cosign verify")) ?? "";
    expect(block.match(/ #|[^"]\$\w/g)).toBeNull();
    expect(readme).toContain(
      "identity=https://github.com/OWNER/REPOSITORY/.github/workflows/release.yml@refs/tags/v1.2.3",
    );
  });
});
