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
    await mkdir(dirname(join(work, file)), { recursive: true });
    await writeFile(join(work, file), `the content of ${file}`);
  }
  const { stdout } = await execa("sha256sum", Object.values(files), { cwd: work });
  const [image = "", ...others] = stdout.split("\n");
  sums = { image, others: others.join("\n") };
  for (const name of ["docker", "cosign", "npm", "gh"]) await tool(name);
  await tool("helm", `echo "Digest: ${digest}"`);
  await tool("skopeo", `echo -n ${digest} > pushed.txt`);
});
afterEach(() => rm(work, { recursive: true, force: true }));

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
  for (const { run, env } of jobs[name].steps.filter((step: { run?: string }) => step.run)) {
    const variables = Object.fromEntries([...given(jobs[name].env), ...given(env)]) as Record<string, string>;
    const PATH = `${work}/bin:${process.env.PATH}`;
    const shell = ["--noprofile", "--norc", "-eo", "pipefail", "-c", run];
    const result = await execa("bash", shell, { cwd: work, env: { ...variables, PATH }, reject: false });
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
        `skopeo copy --all --preserve-digests --digestfile pushed.txt oci-archive:image.tar docker://${image}:1.2.3`,
        `cosign sign --yes ${image}@${digest}`,
        `cosign attest --yes --type cyclonedx --predicate ${files.bill} ${image}@${digest}`,
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
        `helm push ${files.chart} oci://ghcr.io/some-org/charts`,
        `cosign sign --yes ghcr.io/some-org/charts/magic-ip-address@${digest}`,
      ],
    });
  });

  it("signs no chart that was not pushed", async () => {
    await tool("helm", "exit 1");
    const { failed, calls } = await runJob("chart");
    expect([failed, calls.some((call) => call.startsWith("cosign"))]).toEqual([true, false]);
  });

  it("publishes the archive that was built", async () => {
    expect(await runJob("package")).toEqual({
      failed: false,
      calls: [`npm publish ./${files.package} --ignore-scripts --provenance --access public`],
    });
  });

  it("creates the release at GitHub with the chart and the bill of materials", async () => {
    const options = "--verify-tag --title v1.2.3 --notes-file notes.md";
    expect(await runJob("release")).toEqual({
      failed: false,
      calls: [`gh release create v1.2.3 ${options} ${files.chart} ${files.bill}`],
    });
  });

  it.each([
    ["image", files["image.tar"]],
    ["image", files.bill],
    ["chart", files.chart],
    ["package", files.package],
    ["release", files.notes],
  ])("job %s does nothing with a %s that is not the one that was built", async (job, file) => {
    await appendFile(join(work, file), "and something else");
    expect(await runJob(job)).toEqual({ failed: true, calls: [] });
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
    const asked = [...readme.matchAll(/^cosign (\S+) \$signed .*?(ghcr\.io\/\S+):1\.2\.3/gm)].map(
      ([, verb = "", target = ""]) => `${verb} ${target.replace("OWNER", "some-org")}`,
    );
    const answers: Record<string, string> = { verify: "sign", "verify-attestation": "attest" };
    expect(asked.map((each) => each.replace(/^\S+/, (verb) => answers[verb] ?? verb))).toEqual(made);
    expect(made).toHaveLength(3);
    expect(readme).toContain(
      "identity=https://github.com/OWNER/REPOSITORY/.github/workflows/release.yml@refs/tags/v1.2.3",
    );
  });
});
