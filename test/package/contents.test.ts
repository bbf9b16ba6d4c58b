import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { type Packed, packedPackage, REPOSITORY } from "./packed.ts";

const LARGEST = 200_000;

/** Everything that may be in the package. */
const WANTED = [
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|PulumiPlugin\.yaml|tsconfig\.json|index\.ts)$/,
  /^component\/(README\.md|(address\/)?\w+\.ts)$/,
  /^component\/chart\/(?!ci\/)/,
  /^dist\/(index|component\/(address\/)?\w+)\.(js|d\.ts)$/,
];

let packed: Packed;
let files: string[];
beforeAll(async () => {
  packed = await packedPackage();
  files = await filesUnder(packed.directory);
});

describe("the packed package", () => {
  it("has nothing that a user has no use for: no tests, no agent", () => {
    expect(files.filter((file) => !WANTED.some((pattern) => pattern.test(file)))).toEqual([]);
  });

  it("has each source, because Pulumi's plugin host reads the types there, and what is compiled of it, nothing of an earlier build", () => {
    const sources = files.filter((file) => /^(index|component\/.*)\.ts$/.test(file));
    expect(sources.length).toBeGreaterThan(15);
    const compiled = sources.flatMap((file) => {
      const name = `dist/${file.slice(0, -".ts".length)}`;
      return [`${name}.js`, `${name}.d.ts`];
    });
    expect(files.filter((file) => file.startsWith("dist/"))).toEqual(compiled.sort());
  });

  it("has the whole chart, with its README, as Helm itself would pack it", async () => {
    const chart = await filesUnder(join(REPOSITORY, "component/chart"));
    const wanted = chart.filter((file) => !file.startsWith("ci/")).map((file) => `component/chart/${file}`);
    expect(wanted).toEqual(
      expect.arrayContaining(["component/chart/README.md", "component/chart/.helmignore"]),
    );
    expect(wanted.filter((file) => !files.includes(file))).toEqual([]);
  });

  // What stands in README.md npm shows with links into the repository.
  it.each(["component/README.md", "component/chart/README.md"])("has what %s links to", async (document) => {
    const text = await readFile(join(packed.directory, document), "utf8");
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)];
    const linked = links.map(([, path = ""]) => join(dirname(document), path));
    expect(linked.filter((path) => !files.includes(path))).toEqual([]);
  });

  it("has what people and Pulumi look for", () => {
    const named = ["README.md", "LICENSE", "CHANGELOG.md", "PulumiPlugin.yaml", "tsconfig.json"];
    expect(files).toEqual(expect.arrayContaining(named));
  });

  it(`is no larger than ${LARGEST / 1000} kB`, async () => {
    expect((await stat(packed.tarball)).size).toBeLessThanOrEqual(LARGEST);
  });

  it("depends on Pulumi's two packages and on nothing else", async () => {
    const manifest = await json("package.json");
    expect(Object.keys(manifest.dependencies).sort()).toEqual(["@pulumi/kubernetes", "@pulumi/pulumi"]);
    const others = ["peerDependencies", "optionalDependencies", "bundleDependencies", "bundledDependencies"];
    expect(others.filter((kind) => kind in manifest)).toEqual([]);
  });

  it("runs nothing on the machine that installs it", async () => {
    const { scripts } = await json("package.json");
    expect(Object.keys(scripts).filter((name) => /^(pre|post)?install$/.test(name))).toEqual([]);
  });

  it("is clean to publint", async () => {
    const tarball = arrayBuffer(await readFile(packed.tarball));
    const { messages, pkg } = await publint({ pack: { tarball }, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
  });

  it("has the right types for every way to import it, say Are The Types Wrong", async () => {
    const data = new Uint8Array(await readFile(packed.tarball));
    const analysis = await checkPackage(createPackageFromTarballData(data));
    expect(analysis).toMatchObject({ types: { kind: "included" }, problems: [] });
  });
});

describe("one version", () => {
  it("is that of the package, the agent, the chart and the lock file", async () => {
    const { version } = await json("package.json");
    const chart = parse(await readFile(join(REPOSITORY, "component/chart/Chart.yaml"), "utf8"));
    const agent = await json("agent/package.json");
    const lock = await json("package-lock.json");
    expect({
      agent: agent.version,
      chart: chart.version,
      image: chart.appVersion,
      lock: [lock.version, lock.packages[""].version, lock.packages.agent.version],
    }).toEqual({ agent: version, chart: version, image: version, lock: [version, version, version] });
  });
});

async function json(file: string) {
  return JSON.parse(await readFile(join(REPOSITORY, file), "utf8"));
}

function arrayBuffer(data: Buffer): ArrayBuffer {
  return Uint8Array.from(data).buffer;
}

async function filesUnder(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const found = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return found.map((file) => file.slice(directory.length + 1)).sort();
}
