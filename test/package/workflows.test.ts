import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { buildGoTools } from "../support/build.ts";
import { REPOSITORY } from "./packed.ts";

const workflows = join(REPOSITORY, ".github/workflows");

/** A workflow, as far as tests look into it. */
interface Workflow {
  text: string;
  permissions: Record<string, string>;
  defaults: object;
  jobs: Record<string, Job>;
}
interface Job {
  uses?: string;
  needs?: string | string[];
  permissions?: Record<string, string>;
  steps?: Step[];
}
interface Step {
  uses?: string;
  with?: { name: string; path?: string };
  "working-directory"?: string;
  run?: string;
  env?: Record<string, string>;
}

const [ci, release] = await Promise.all([workflow("ci.yml"), workflow("release.yml")]);

async function workflow(file: string): Promise<Workflow> {
  const text = await readFile(join(workflows, file), "utf8");
  return { ...(parse(text) as Workflow), text };
}

function needs(job: string): string[] {
  return [release.jobs[job]?.needs ?? []].flat();
}

/** Which job makes an artifact. */
const BUILDS: Record<string, string> = { image: "build-image", release: "build-package" };

/** Actions that a job with an identity may run: they fetch what was built, and the tools that sign and publish it. */
const LOADS = ["actions/download-artifact", "sigstore/cosign-installer", "actions/setup-node"];

/** Commands of such a job. None of them runs code that comes with the repository or with a dependency of it. */
const UPLOADS = [
  /^(echo|sed|tee|diff|sha256sum|sort|find|mkdir|jq)( |$)/,
  /^tar --extract --to-stdout /,
  /^docker login /,
  /^skopeo copy --all --preserve-digests .* oci-archive:files\/image\.tar /,
  /^cosign (sign|attest) /,
  /^helm push "files\/chart\/[^"]+\.tgz" /,
  /^npm publish "\.\.\/files\/npm\/[^"]+\.tgz" --ignore-scripts .* --registry \S+ --userconfig \/dev\/null$/,
  /^gh release create /,
];

/** What a job that holds an identity does with files before it uses them; test/package/release.test.ts runs it. */
const COMPARES = `echo "$SUMS" | sed '/^$/d' > ../sums.txt
sha256sum --check --strict ../sums.txt
sed 's/^.\\{66\\}/f /' ../sums.txt | sort > ../listed.txt
find . ! -type d -printf '%y %P\\n' | sort | diff ../listed.txt -
`;

/** The single commands of a step's script. */
function commandsOf(run: string): string[] {
  const lines = run.replaceAll("\\\n", " ").split("\n");
  return lines
    .flatMap((line) => line.split(/\|\|?|&&|;|\$\((?!\()/))
    .map((command) => command.trim().replace(/^\w+="$/, ""))
    .filter((command) => command !== "");
}

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

  it("run what CI runs here, and may read and no more where a job does not name a right", () => {
    expect(ci.text).toContain("bash .ci/run");
    expect(release.jobs.checks?.uses).toBe("./.github/workflows/ci.yml");
    for (const { permissions, defaults } of [ci, release]) {
      expect(permissions).toEqual({ contents: "read" });
      // A pipe that fails in the middle fails the step.
      expect(defaults).toEqual({ run: { shell: "bash" } });
    }
  });

  it("take every action by its commit, and say of which version that is", () => {
    const lines = [ci, release].flatMap(({ text }) => text.match(/^.*\buses:.*$/gm) ?? []);
    const others = lines.filter(
      (line) => !/uses: \.\/|uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line),
    );
    expect(lines.length).toBeGreaterThan(20);
    expect(others).toEqual([]);
    const commits = lines.map((line) => line.split("uses: ")[1]);
    const actions = new Set(commits.map((commit) => commit?.split("@")[0]));
    expect(new Set(commits).size, "one version of each action").toBe(actions.size);
  });

  it("release what build jobs made, which stamp it, and the npm package last", () => {
    const commands = release.jobs["build-package"]?.steps?.flatMap(({ run = "" }) => run.split("\n")) ?? [];
    const order = [
      "node .github/stamp.mjs",
      "npm ci --ignore-scripts",
      "npm pack",
      "helm package component/chart",
    ];
    const places = order.map((command) => commands.findIndex((line) => line.startsWith(command)));
    expect(places).toEqual(places.filter((place) => place >= 0).sort((one, other) => one - other));
    expect(needs("build-package")).toContain("build-image");
    expect(needs("image")).toEqual(
      expect.arrayContaining(["checks", "version", "build-image", "build-package"]),
    );
    expect(needs("package")).toEqual(expect.arrayContaining(["checks", "version", "image", "chart"]));
  });
});

describe("the release's jobs", () => {
  const rights = Object.entries(release.jobs).map(([name, { permissions = {} }]) => ({ name, permissions }));
  const privileged = rights.filter(({ permissions }) => Object.values(permissions).includes("write"));

  it("have the rights that they need for what they upload and sign, and no others", () => {
    expect(Object.fromEntries(privileged.map(({ name, permissions }) => [name, permissions]))).toEqual({
      image: { packages: "write", "id-token": "write" },
      chart: { packages: "write", "id-token": "write" },
      package: { "id-token": "write" },
      release: { contents: "write" },
    });
    expect(rights.filter(({ permissions }) => Object.keys(permissions).length > 0)).toEqual(privileged);
  });

  it.each(privileged)("$name runs nothing but what uploads and signs", ({ name }) => {
    const steps = release.jobs[name]?.steps ?? [];
    const commands = steps.flatMap(({ run }) => (run === undefined ? [] : commandsOf(run)));
    expect(commands.length).toBeGreaterThan(2);
    expect(commands.filter((command) => !UPLOADS.some((allowed) => allowed.test(command)))).toEqual([]);
    const actions = steps.flatMap(({ uses = "" }) => uses.split("@")[0] || []);
    expect(actions.filter((action) => !LOADS.includes(action))).toEqual([]);
  });

  it.each(privileged)(
    "$name compares what it takes with the build jobs' checksums before it goes on",
    ({ name }) => {
      const steps = release.jobs[name]?.steps ?? [];
      const taken = steps.filter(({ uses = "" }) => uses.startsWith("actions/download-artifact@"));
      const builds = taken.map(({ with: { name: artifact } = { name: "" } }) => BUILDS[artifact]);
      expect(steps.slice(0, taken.length)).toEqual(taken);
      expect(taken.map((step) => step.with?.path)).toEqual(taken.map(() => "files"));
      const { run, env, "working-directory": directory } = steps[taken.length] ?? {};
      expect([run, directory]).toEqual([COMPARES, "files"]);
      // Tools read files of the directory that they run in, as npm does .npmrc: no other step runs in this one.
      expect(steps.filter((step) => step["working-directory"] === "files")).toHaveLength(1);
      expect(env?.SUMS?.match(/needs\.[\w-]+(?=\.outputs\.sums)/g)).toEqual(
        builds.map((build) => `needs.${build}`),
      );
    },
  );
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
