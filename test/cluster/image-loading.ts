import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { ctr, importArchive, type Snapshotter } from "./containerd.ts";

const MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG = "application/vnd.docker.container.image.v1+json";
const LAYER = "application/vnd.docker.image.rootfs.diff.tar";
// Where containerd keeps contents, below its root directory.
const CONTENT = "io.containerd.content.v1.content";

/** A containerd to load images into. */
export interface ImagePlace {
  socket: string;
  /** Its root directory. */
  root: string;
  snapshotter: Snapshotter;
}

/** What a docker-archive says about the image in it. */
interface Archive {
  file: string;
  names: string[];
  config: Buffer;
  /** Each layer's file in the archive, and the digest of its content. */
  layers: { path: string; digest: string }[];
}

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

/**
 * Gives the image in a docker-archive to each containerd that lacks it. A layer that is there already is not sent again: an
 * image that is built on the tests' base is that base and a few megabytes.
 */
export async function loadImage(places: readonly ImagePlace[], file: string): Promise<void> {
  const archive = await readArchive(file);
  await Promise.all(places.map((place) => loadInto(place, archive)));
}

async function loadInto(place: ImagePlace, archive: Archive): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), "magic-ip-image-"));
  try {
    const [layout, slim] = [join(work, "layout"), join(work, "image.tar")];
    const { digest } = await writeLayout(archive, layout, place.root);
    if (await knows(place, archive.names, digest)) return;
    await execa("tar", ["--create", "--file", slim, "--directory", layout, "."]);
    await importArchive(place.socket, slim, place.snapshotter);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function readArchive(file: string): Promise<Archive> {
  const images = JSON.parse((await contentOf(file, "manifest.json")).toString()) as unknown[];
  if (images.length !== 1) throw new Error(`${file} holds ${images.length} images, and one is expected`);
  const { Config, RepoTags, Layers } = images[0] as { Config: string; RepoTags: string[]; Layers: string[] };
  const config = await contentOf(file, Config);
  const { rootfs } = JSON.parse(config.toString()) as { rootfs: { diff_ids: string[] } };
  const layers = Layers.map((path, index) => ({ path, digest: rootfs.diff_ids[index] ?? "" }));
  return { file, names: (RepoTags ?? []).map(fullName), config, layers };
}

async function contentOf(archive: string, path: string): Promise<Buffer> {
  const args = ["--extract", "--to-stdout", "--occurrence=1", "--file", archive, path];
  const { stdout } = await execa("tar", args, { encoding: "buffer" });
  return Buffer.from(stdout);
}

/** A short name means Docker's registry, and so it does for the kubelet. */
function fullName(name: string): string {
  const [first = "", ...rest] = name.split("/");
  if (rest.length === 0) return `docker.io/library/${name}`;
  return /[.:]/.test(first) || first === "localhost" ? name : `docker.io/${name}`;
}

/** Whether all names stand for this very image, and not for one that had them before. */
async function knows({ socket }: ImagePlace, names: string[], digest: string): Promise<boolean> {
  const rows = (await ctr(socket, ["images", "list"])).split("\n").map((row) => row.split(/\s+/));
  const known = new Map(rows.map(([name, , target]) => [name, target]));
  return names.every((name) => known.get(name) === digest);
}

/**
 * Writes the image as an OCI layout (image-spec, image-layout.md) without the layers that are in containerd's root: this format
 * may lack blobs, where a docker-archive has to be whole. Returns the manifest's descriptor.
 */
async function writeLayout(archive: Archive, layout: string, root: string): Promise<Descriptor> {
  mkdirSync(join(layout, "blobs", "sha256"), { recursive: true });
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: addBlob(layout, CONFIG, archive.config),
    layers: await addLayers(archive, layout, root),
  };
  const described = addBlob(layout, MANIFEST, Buffer.from(JSON.stringify(manifest)));
  const manifests = archive.names.map((name) => ({
    ...described,
    annotations: { "io.containerd.image.name": name },
  }));
  writeFileSync(join(layout, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
  writeFileSync(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  return described;
}

function addBlob(layout: string, mediaType: string, content: Buffer): Descriptor {
  const digest = digestOf(content);
  writeFileSync(blobFile(layout, digest), content);
  return { mediaType, digest, size: content.length };
}

async function addLayers({ file, layers }: Archive, layout: string, root: string): Promise<Descriptor[]> {
  const held = ({ digest }: { digest: string }) => blobFile(join(root, CONTENT), digest);
  const lacking = layers.filter((layer) => !existsSync(held(layer)));
  const paths = lacking.map(({ path }) => path);
  if (paths.length > 0) await execa("tar", ["--extract", "--file", file, "--directory", layout, ...paths]);
  for (const { path, digest } of lacking) renameSync(join(layout, path), blobFile(layout, digest));
  return layers.map((layer) => {
    const blob = lacking.includes(layer) ? blobFile(layout, layer.digest) : held(layer);
    return { mediaType: LAYER, digest: layer.digest, size: statSync(blob).size };
  });
}

function blobFile(store: string, digest: string): string {
  return join(store, "blobs", ...digest.split(":"));
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}
