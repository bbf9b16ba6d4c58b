import { globSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { satisfies } from "semver";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import agentJson from "../../agent/package.json" with { type: "json" };
import lock from "../../package-lock.json" with { type: "json" };
import packageJson from "../../package.json" with { type: "json" };
import { REPOSITORY } from "./packed.ts";

const read = (file: string) => readFile(join(REPOSITORY, file), "utf8");
const minimum = packageJson.engines.node.replace(">=", "");

interface Step {
  uses?: string;
  with?: { "node-version"?: unknown };
}

/** The versions of Node.js that a workflow's job is set up with. */
async function versionsIn(file: string, job: string): Promise<unknown[]> {
  const { jobs } = parse(await read(`.github/workflows/${file}`)) as {
    jobs: Record<string, { steps: Step[] }>;
  };
  const steps = jobs[job]?.steps.filter(({ uses }) => uses?.startsWith("actions/setup-node@")) ?? [];
  return steps.map((step) => step.with?.["node-version"]);
}

/** Packages whose `engines` refuse a version of Node.js: npm warns of each with EBADENGINE. */
function refusing(version: string): string[] {
  const packages = Object.entries(lock.packages as Record<string, { engines?: { node?: string } }>);
  return packages.flatMap(([path, { engines }]) => {
    if (engines?.node === undefined || satisfies(version, engines.node)) return [];
    return `${path || "the repository itself"}: ${engines.node}`;
  });
}

describe("the oldest Node.js", () => {
  it("is a whole version, which package, agent and lock file agree on", () => {
    expect(minimum).toMatch(/^\d+\.\d+\.\d+$/);
    const { "": root, agent } = lock.packages;
    expect([agentJson.engines, root.engines, agent.engines]).toEqual(Array(3).fill(packageJson.engines));
  });

  it("is the one that every document names", async () => {
    const ignored = ["node_modules", "dist", ".git", "CHANGELOG.md"];
    const exclude = (path: string) => ignored.includes(basename(path));
    const files = globSync("**/*.md", { cwd: REPOSITORY, exclude });
    const texts = await Promise.all(files.map(read));
    const named = texts.flatMap((text) =>
      [...text.matchAll(/Node\.js ≥ (\d[\d.]*\d)/g)].map(([, version]) => version),
    );
    expect(named.length).toBeGreaterThan(4);
    expect([...new Set(named)]).toEqual([minimum.replace(/\.0$/, "")]);
  });

  it.each([
    ["ci.yml", "checks"],
    ["ci.yml", "minimum"],
    ["release.yml", "build-package"],
  ])("is what %s runs %s with", async (file, job) => {
    expect(await versionsIn(file, job)).toEqual([minimum]);
  });

  it("is accepted by every package of the lock file, so that npm ci warns of none", () => {
    expect(refusing(minimum)).toEqual([]);
  });

  it("is no newer than a dependency needs", () => {
    const [major, minor] = minimum.split(".").map(Number);
    const dependencies = refusing(`${major}.${Number(minor) - 1}.0`).filter((line) =>
      /node_modules/.test(line),
    );
    expect(dependencies).not.toEqual([]);
  });
});

it("the Node.js that the tests and the agent's image run in is accepted by every package, too", async () => {
  const [, major] = /^ARG BASE_IMAGE=node:(\d+)-/m.exec(await read("agent/Dockerfile")) ?? [];
  expect(lock.packages["node_modules/node"].version).toMatch(new RegExp(`^${major}\\.`));
  expect(refusing(lock.packages["node_modules/node"].version)).toEqual([]);
});
