import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { link, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { execa } from "execa";

/** An image of one layer. */
export interface ImagePlan {
  name: string;
  /** A tar of the whole root file system. */
  layer: string;
  environment?: readonly string[];
  command: readonly string[];
  labels?: Record<string, string>;
}

/**
 * Writes a docker-archive (image-spec of moby, version 1.2: manifest.json, a configuration, layers), which buildah pulls and
 * containerd imports. Without a build tool: with one, each step would copy the whole root file system again.
 */
export async function writeImageArchive(image: ImagePlan, archive: string): Promise<void> {
  const work = await mkdtemp(`${archive}.draft-`);
  try {
    await link(image.layer, join(work, "layer.tar"));
    const manifest = [{ Config: "config.json", RepoTags: [image.name], Layers: ["layer.tar"] }];
    await writeFile(join(work, "config.json"), JSON.stringify(await configuration(image)));
    await writeFile(join(work, "manifest.json"), JSON.stringify(manifest));
    await execa("tar", ["-C", work, "-cf", archive, "manifest.json", "config.json", "layer.tar"]);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function configuration({ layer, environment, command, labels }: ImagePlan) {
  return {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    created: "1970-01-01T00:00:00Z",
    config: { Env: environment ?? [], Cmd: command, Labels: labels ?? {} },
    rootfs: { type: "layers", diff_ids: [`sha256:${await digest(layer)}`] },
    history: [{ created: "1970-01-01T00:00:00Z", created_by: "magic-ip-address test support" }],
  };
}

async function digest(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}
