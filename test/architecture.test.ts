import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import manifest from "../package.json" with { type: "json" };

const root = fileURLToPath(new URL("..", import.meta.url));

/** What a file imports for more than its types. */
function imports(file: string): string[] {
  const text = readFileSync(`${root}${file}`, "utf8");
  const statements = [...text.matchAll(/^(?:import|export) (?!type )[^;]*?from "([^"]+)"/gm)];
  return statements.filter(([line]) => !/\{(\s*type \w+,?)+\s*\}/.test(line)).map(([, name]) => name ?? "");
}

const filesIn = (directory: string) =>
  readdirSync(`${root}${directory}`, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.includes("node_modules"))
    .map((name) => `${directory}/${name}`);

describe("data goes one way", () => {
  const pure = [
    "agent/finding.ts",
    "agent/kernel.ts",
    "agent/kubernetes/json.ts",
    "agent/kubernetes/pod.ts",
    "agent/status/metrics.ts",
    "agent/status/status.ts",
    ...filesIn("agent/desired"),
    ...filesIn("agent/ruleset"),
    ...[
      "checks",
      "conditions",
      "dataplane",
      "doctor",
      "dropping",
      "firewall",
      "reach",
      "scope",
      "switches",
      "taken",
      "tools",
    ].map((name) => `agent/doctor/${name}.ts`),
    "agent/doctor/untracked.ts",
  ];

  const isPure = (file: string) => pure.includes(file);

  it.each(pure)("%s is a function of its arguments: it imports nothing that talks to the outside", (file) => {
    const outside = imports(file)
      .map((name) => (name.startsWith(".") ? posix.join(dirname(file), name) : name))
      .filter((name) => !isPure(name) && !/^component\/address\/\w+\.ts$/.test(name));
    expect(outside).toEqual([]);
  });

  it.each([
    ["execa", ["agent/netfilter/command.ts"]],
    ["node:https", ["agent/kubernetes/api.ts"]],
    ["@kubernetes/client-node/dist/config.js", ["agent/kubernetes/api.ts"]],
    ["commander", ["agent/commands/call.ts", "agent/commands/program.ts"]],
  ])("%s is imported by nothing in the agent but %j", (name, files) => {
    expect(filesIn("agent").filter((file) => imports(file).includes(name))).toEqual(files);
  });

  it("only the agent's command line and log know the process", () => {
    const knowing = filesIn("agent").filter((file) =>
      /\bprocess\.\w/.test(readFileSync(`${root}${file}`, "utf8")),
    );
    expect(knowing.sort()).toEqual(["agent/commands/run.ts", "agent/kubernetes/api.ts", "agent/main.ts"]);
  });
});

describe("the published package", () => {
  it("depends on the two Pulumi packages and nothing else", () => {
    expect(Object.keys(manifest.dependencies).sort()).toEqual(["@pulumi/kubernetes", "@pulumi/pulumi"]);
  });

  it("has a component that imports nothing but those, Node.js and itself", () => {
    const outside = filesIn("component")
      .flatMap(imports)
      .filter((name) => !/^(\.|node:|@pulumi\/)/.test(name));
    expect(outside).toEqual([]);
  });
});

describe("the house (.dependency-cruiser.mjs)", () => {
  let place: string;
  beforeEach(async () => {
    place = await mkdtemp(join(tmpdir(), "magic-ip-house-"));
    await symlink(join(root, "node_modules"), join(place, "node_modules"));
  });
  afterEach(() => rm(place, { recursive: true, force: true }));

  it.each([
    [
      "a room that imports from above",
      { "agent/config/a.ts": "../sync/b.ts", "agent/sync/b.ts": undefined },
      "config-imports-from-above",
    ],
    [
      "a type from above",
      { "agent/ruleset/a.ts": "type ../netfilter/b.ts", "agent/netfilter/b.ts": undefined },
      "ruleset-imports-from-above",
    ],
    ["a circle", { "agent/doctor/a.ts": "./b.ts", "agent/doctor/b.ts": "./a.ts" }, "circle"],
    [
      "the agent in the component",
      { "component/a.ts": "../agent/desired/b.ts", "agent/desired/b.ts": undefined },
      "component-and-agent",
    ],
    [
      "the component in the agent",
      { "agent/sync/a.ts": "../../component/b.ts", "component/b.ts": undefined },
      "agent-and-component",
    ],
  ])("refuses %s", async (_what, files, rule) => {
    for (const [file, imported] of Object.entries(files)) {
      const isType = imported?.startsWith("type ") ?? false;
      const from = imported?.replace("type ", "");
      await mkdir(join(place, dirname(file)), { recursive: true });
      const text = from === undefined ? "" : `import ${isType ? "type " : ""}{ one } from "${from}";\n`;
      await writeFile(join(place, file), `${text}export ${isType ? "type two = one" : "const one = 1"};\n`);
    }
    const words = ["--config", join(root, ".dependency-cruiser.mjs"), "agent", "component"].filter(
      (word) => word.startsWith("-") || word.startsWith("/") || existsSync(join(place, word)),
    );
    const { stdout, exitCode } = await execa(join(root, "node_modules/.bin/depcruise"), words, {
      cwd: place,
      reject: false,
    });
    expect(stdout).toContain(`error ${rule}:`);
    expect(exitCode).toBeGreaterThan(0);
  });
});

it("CONTRIBUTING says where to change what, and all of it is there", () => {
  const [, table = ""] = readFileSync(`${root}CONTRIBUTING.md`, "utf8").split(
    /^## Where do I change.*$|^!\[the rooms/m,
  );
  const paths = [...table.matchAll(/`((?:agent|component|examples|test)\/[^`*]*)`/g)].map(
    ([, path = ""]) => path,
  );
  expect(paths.length).toBeGreaterThan(25);
  expect(paths.filter((path) => !existsSync(`${root}${path}`))).toEqual([]);
});

it("no file is a grab-bag", () => {
  const names = [...filesIn("agent"), ...filesIn("component"), ...filesIn("test")];
  expect(names.filter((name) => /(utils?|helpers?|common|misc)\.ts$/.test(name))).toEqual([]);
});
