import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import packageJson from "../../package.json" with { type: "json" };
import { packedPackage, REPOSITORY } from "./packed.ts";

/** A user's project that has the packed package among its node_modules. */
export interface Consumer {
  directory: string;
  /** The package as it is installed there. */
  installed: string;
  write(name: string, content: string | object): Promise<URL>;
  /** Type-checks the project; returns what the compiler says. */
  typeCheck(): Promise<string>;
  remove(): Promise<void>;
}

/** An empty directory with the package, Pulumi's two packages and what a TypeScript project has besides. */
export async function consumer(): Promise<Consumer> {
  const directory = await mkdtemp(join(tmpdir(), "magic-ip-consumer-"));
  const modules = join(directory, "node_modules");
  const installed = join(modules, packageJson.name);
  await mkdir(modules);
  await cp((await packedPackage()).directory, installed, { recursive: true });
  // An installation would fetch the same for a minute: test/languages does that.
  for (const name of ["@pulumi", "@types", "typescript", "undici-types"]) {
    await symlink(join(REPOSITORY, "node_modules", name), join(modules, name));
  }
  const write = async (name: string, content: string | object) => {
    const file = join(directory, name);
    await writeFile(file, typeof content === "string" ? content : JSON.stringify(content, undefined, 2));
    return new URL(`file://${file}`);
  };
  await write("package.json", { name: "infrastructure", private: true, main: "index.ts" });
  return {
    directory,
    installed,
    write,
    typeCheck: async () => {
      const tsc = join(REPOSITORY, "node_modules/.bin/tsc");
      return (await execa(tsc, ["-p", ".", "--noEmit"], { cwd: directory, reject: false, all: true })).all;
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}
