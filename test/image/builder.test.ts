import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { findBuilder } from "./builder.ts";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "magic-ip-builder-"));
  vi.stubEnv("PATH", directory);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true, force: true });
});

async function tool(name: string, script: string) {
  const file = join(directory, name);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
}

describe("the tool that builds the image", () => {
  it("is docker where its engine answers", async () => {
    await tool("docker", "echo 28.2.2");
    await tool("buildah", "exit 0");
    expect(await findBuilder()).toEqual({ name: "docker", reason: "it works here" });
  });

  it("is the next one where docker is a client without an engine, and says so", async () => {
    await tool("docker", "echo Cannot connect to the Docker daemon >&2; exit 1");
    await tool("buildah", "exit 0");
    expect(await findBuilder()).toEqual({
      name: "buildah",
      reason: "it works here; docker: Cannot connect to the Docker daemon; podman: not installed",
    });
  });

  it("is asked for where there is none", async () => {
    await expect(findBuilder()).rejects.toThrow(
      "no tool to build an image with (docker: not installed; podman: not installed; buildah: not installed). " +
        "Install docker, podman or buildah; on Debian: apt-get install buildah",
    );
  });
});
