import { readdirSync, readFileSync } from "node:fs";
import { dirname, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
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
    "agent/checks.ts",
    "agent/conditions.ts",
    "agent/dataplane.ts",
    "agent/desired.ts",
    "agent/doctor.ts",
    "agent/dropping.ts",
    "agent/finding.ts",
    "agent/firewall.ts",
    "agent/flows.ts",
    "agent/json.ts",
    "agent/kernel.ts",
    "agent/metrics.ts",
    "agent/network.ts",
    "agent/node.ts",
    "agent/pod.ts",
    "agent/reach.ts",
    "agent/scope.ts",
    "agent/state.ts",
    "agent/status.ts",
    "agent/switches.ts",
    "agent/taken.ts",
    "agent/target.ts",
    "agent/tools.ts",
    "agent/untracked.ts",
    ...filesIn("agent/ruleset"),
  ];

  const isPure = (file: string) => pure.includes(file);

  it.each(pure)("%s is a function of its arguments: it imports nothing that talks to the outside", (file) => {
    const outside = imports(file)
      .map((name) => (name.startsWith(".") ? posix.join(dirname(file), name) : name))
      .filter((name) => !isPure(name) && !/^component\/spec\/\w+\.ts$/.test(name));
    expect(outside).toEqual([]);
  });

  it.each([
    ["execa", ["agent/netfilter/command.ts"]],
    ["node:https", ["agent/api.ts"]],
    ["@kubernetes/client-node/dist/config.js", ["agent/api.ts"]],
    ["commander", ["agent/cli.ts"]],
  ])("only one file of the agent imports %s", (name, files) => {
    expect(filesIn("agent").filter((file) => imports(file).includes(name))).toEqual(files);
  });

  it("only the agent's command line and log know the process", () => {
    const knowing = filesIn("agent").filter((file) =>
      /\bprocess\./.test(readFileSync(`${root}${file}`, "utf8")),
    );
    expect(knowing.sort()).toEqual(["agent/api.ts", "agent/cli.ts", "agent/main.ts"]);
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

it("no file is a grab-bag", () => {
  const names = [...filesIn("agent"), ...filesIn("component"), ...filesIn("test")];
  expect(names.filter((name) => /(utils?|helpers?|common|misc)\.ts$/.test(name))).toEqual([]);
});
