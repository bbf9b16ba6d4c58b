import { readdir, readFile, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { execa } from "execa";
import { cacheDirectory, cached, contentHash } from "../support/cache.ts";
import { step } from "../support/progress.ts";
import { COMPILER_IMAGE, compilerImage } from "../support/compiler-image.ts";
import { BASE_IMAGE, baseImage } from "../support/rootfs.ts";
import { buildImage, REPOSITORY } from "./build.ts";

/** The agent's image of this working tree for tests and the demo: the path of a docker-archive, built when anything in it changed. */
export async function agentImage(): Promise<string> {
  const base = await baseImage();
  const entry = `${ENTRY}${contentHash(basename(dirname(base)), ...(await content()))}`;
  const directory = await cached(entry, async (draft) => {
    await forget(OLD_ONES_KEPT);
    await compilerImage();
    await step("build the agent's image", () => build(join(draft, "agent-image.tar")));
  });
  return join(directory, "agent-image.tar");
}

const ENTRY = "agent-image-";
// As rootfs.ts keeps the base image: vfs needs no kernel feature, and holds a full copy of each image.
const STORAGE = ["--storage-driver=vfs"];
// An archive holds the whole base image: a day's work on the agent would fill the disk.
const OLD_ONES_KEPT = 2;

async function build(output: string) {
  const npmCache = await npmCacheDirectory();
  const name = await buildImage({
    builder: "buildah",
    output,
    baseImage: BASE_IMAGE,
    buildImage: BASE_IMAGE,
    compilerImage: COMPILER_IMAGE,
    // A layer for each step would copy the file system each time; npm's cache makes the build independent of the network.
    buildArguments: [
      "--pull-never",
      "--layers=false",
      "--isolation=chroot",
      `--volume=${npmCache}:/root/.npm`,
    ],
    settings: STORAGE,
  });
  await execa("buildah", [...STORAGE, "rmi", name], { reject: false });
}

async function npmCacheDirectory(): Promise<string> {
  const { stdout } = await execa("npm", ["config", "get", "cache"], { cwd: REPOSITORY, reject: false });
  return stdout.trim() || join(homedir(), ".npm");
}

/** Everything that agent/Dockerfile copies, by name and content. */
async function content(): Promise<Buffer[]> {
  const files = [
    "package.json",
    "package-lock.json",
    ...(await filesUnder("agent")),
    ...(await filesUnder("component/address")),
  ];
  const contents = await Promise.all(files.map((file) => readFile(join(REPOSITORY, file))));
  return [Buffer.from(files.join("\n")), ...contents];
}

async function filesUnder(directory: string): Promise<string[]> {
  const entries = await readdir(join(REPOSITORY, directory), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(REPOSITORY.length))
    .filter((file) => !file.includes("node_modules/") && !file.endsWith(".md"))
    .sort();
}

async function forget(kept: number) {
  const entries = (await readdir(cacheDirectory())).filter((entry) => /^agent-image-[0-9a-f]+$/.test(entry));
  const places = entries.map((entry) => join(cacheDirectory(), entry));
  const ages = await Promise.all(places.map(async (place) => ({ place, made: (await stat(place)).mtimeMs })));
  const old = ages.sort((a, b) => b.made - a.made).slice(kept);
  await Promise.all(old.map(({ place }) => rm(place, { recursive: true, force: true })));
}
