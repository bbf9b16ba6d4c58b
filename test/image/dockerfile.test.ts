import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { REPOSITORY } from "./build.ts";

const dockerfile = await readFile(join(REPOSITORY, "agent/Dockerfile"), "utf8");

/** The image of each stage, as a builder resolves it with these build arguments. */
function stages(given: Record<string, string> = {}): string[] {
  const values: Record<string, string> = {};
  const resolved = (text: string) => text.replaceAll(/\$(\w+)/g, (_, name: string) => values[name] ?? "");
  const head = dockerfile.slice(0, dockerfile.indexOf("\nFROM "));
  for (const [, name = "", value = ""] of head.matchAll(/^ARG (\w+)=(.*)$/gm))
    values[name] = given[name] ?? resolved(value);
  return [...dockerfile.matchAll(/^FROM (?:--platform=\S+ )?(\S+)/gm)].map(([, image = ""]) =>
    resolved(image),
  );
}

describe("agent/Dockerfile", () => {
  it("takes every stage's image by the digest of an index", () => {
    expect(stages()).toHaveLength(3);
    for (const image of stages()) expect(image).toMatch(/^node:24-[a-z-]+@sha256:[0-9a-f]{64}$/);
  });

  it("builds every stage on another base image, unless a stage is given its own", () => {
    expect(stages({ BASE_IMAGE: "mirror/node:24" })).toEqual(Array(3).fill("mirror/node:24"));
    const images = { BASE_IMAGE: "one", BUILD_IMAGE: "two", COMPILER_IMAGE: "three" };
    expect(stages(images).sort()).toEqual(["one", "three", "two"]);
  });
});

describe("npm run image -- --base-image", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "magic-ip-base-image-"));
    await tool("docker", "exit 1");
    await tool("podman", "exit 1");
    await tool("buildah", `echo "$@" >> ${directory}/calls; touch ${directory}/image.tar`);
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  async function tool(name: string, script: string) {
    await writeFile(join(directory, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(directory, name), 0o755);
  }

  it("names the base image alone, and leaves the other stages to the Dockerfile", async () => {
    const tsx = join(REPOSITORY, "node_modules/.bin/tsx");
    const options = ["--output", join(directory, "image.tar"), "--base-image", "mirror/node:24"];
    const env = { PATH: [directory, process.env.PATH].join(delimiter) };
    await execa(tsx, [join(REPOSITORY, "test/image/image.ts"), ...options], { env });
    const calls = await readFile(join(directory, "calls"), "utf8");
    const images = [...calls.matchAll(/--build-arg=(\w+_IMAGE=\S+)/g)].map(([, argument]) => argument);
    expect(images).toEqual(["BASE_IMAGE=mirror/node:24"]);
  });
});
