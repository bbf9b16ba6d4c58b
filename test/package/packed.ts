import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { cacheDirectory, cached, contentHash } from "../support/cache.ts";
import { step } from "../support/progress.ts";

/** The repository's root. */
export const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));

/** What `npm publish` would send. */
export interface Packed {
  tarball: string;
  /** The same, unpacked. */
  directory: string;
}

const ENTRY = "packed-";
const NOT_COPIED = ["node_modules", ".git", "dist"];

/** Packs this working tree with npm, once for each state of what goes into the package. */
export async function packedPackage(): Promise<Packed> {
  const entry = `${ENTRY}${contentHash(...(await content()))}`;
  const place = await cached(entry, async (draft) => {
    await forgetOthers();
    await step("pack the package with npm", () => pack(draft));
  });
  return { tarball: join(place, "package.tgz"), directory: join(place, "package") };
}

/** Packs a copy: `npm pack` compiles, and another test's dist must neither be taken for the package's nor be changed. */
async function pack(target: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), "magic-ip-pack-"));
  try {
    await copyWorkingTree(work);
    await leaveFromYesterday(work);
    await symlink(join(REPOSITORY, "node_modules"), join(work, "node_modules"));
    await execa("npm", ["pack", "--loglevel=error", "--pack-destination", target], { cwd: work });
    const [file = ""] = await readdir(target);
    await execa("mv", [join(target, file), join(target, "package.tgz")]);
    await execa("tar", ["-xzf", "package.tgz"], { cwd: target });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The working tree without what git ignores, and without names that are no text, which no commit has. */
export async function copyWorkingTree(target: string): Promise<void> {
  const isWanted = (source: string) =>
    !source.includes("\uFFFD") && !NOT_COPIED.some((name) => source.endsWith(`/${name}`));
  for (const name of (await readdir(REPOSITORY)).filter((name) => isWanted(`/${name}`)))
    await cp(join(REPOSITORY, name), join(target, name), { recursive: true, filter: isWanted });
}

/** What an earlier build left of a source that has gone since. */
async function leaveFromYesterday(work: string): Promise<void> {
  const file = join(work, "dist/component/fromYesterday.js");
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, "");
}

async function content(): Promise<Buffer[]> {
  const names = ["package.json", "tsconfig.json", "index.ts", "PulumiPlugin.yaml"];
  const documents = ["README.md", "LICENSE", "CHANGELOG.md"];
  const component = await readdir(join(REPOSITORY, "component"), { recursive: true, withFileTypes: true });
  const files = component
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const all = [...[...names, ...documents].map((name) => join(REPOSITORY, name)), ...files.sort()];
  return [Buffer.from(all.join("\n")), ...(await Promise.all(all.map((file) => readFile(file))))];
}

async function forgetOthers(): Promise<void> {
  const entries = (await readdir(cacheDirectory())).filter((entry) => /^packed-[0-9a-f]+$/.test(entry));
  await Promise.all(
    entries.map((entry) => rm(join(cacheDirectory(), entry), { recursive: true, force: true })),
  );
}
