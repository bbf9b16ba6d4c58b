import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import packageJson from "../../package.json" with { type: "json" };

const root = fileURLToPath(new URL("../../", import.meta.url));

/** The package as npm would publish it, in a directory of its own. */
export interface BuiltPackage {
  directory: string;
  remove(): Promise<void>;
}

/** Compiles what package.json lists, outside the repository, so that a dist that lies about cannot be taken for it. */
export async function buildPackage(): Promise<BuiltPackage> {
  const directory = await mkdtemp(join(tmpdir(), "magic-ip-address-"));
  const sources = packageJson.files.filter((file) => !/^!|^dist\/|\.md$/.test(file));
  for (const file of ["package.json", ...sources]) {
    await cp(join(root, file), join(directory, file), { recursive: true });
  }
  await symlink(join(root, "node_modules"), join(directory, "node_modules"));
  await execa(join(root, "node_modules/.bin/tsc"), ["-p", "tsconfig.json"], { cwd: directory });
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) };
}
