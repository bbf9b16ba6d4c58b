import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type BuiltPackage, buildPackage } from "../component/package.ts";
import { examples } from "./example.ts";

const modules = new URL("../../node_modules/", import.meta.url);

/** Copies of the examples in a directory where the packages that they import are installed, this one as npm would have it. */
export interface Workspace {
  directory: string;
  built: BuiltPackage;
  /** A file of an example. */
  file(example: string, name: string): URL;
  remove(): Promise<void>;
}

/** Outside the repository, so that nothing is found that a user would not have. */
export async function makeWorkspace(): Promise<Workspace> {
  const built = await buildPackage();
  const directory = await mkdtemp(join(tmpdir(), "magic-ip-examples-"));
  await cp(examples, join(directory, "examples"), { recursive: true, filter: isSource });
  await mkdir(join(directory, "node_modules"));
  await symlink(built.directory, join(directory, "node_modules", "magic-ip-address"));
  for (const scope of ["@pulumi", "@types"]) {
    await symlink(new URL(scope, modules), join(directory, "node_modules", scope));
  }
  await writeFile(join(directory, "tsconfig.json"), JSON.stringify(await everyProgram()));
  return {
    directory,
    built,
    file: (example, name) => pathToFileURL(join(directory, "examples", example, name)),
    remove: async () => {
      await rm(directory, { recursive: true, force: true });
      await built.remove();
    },
  };
}

/** What somebody tried in the directory of an example is no part of it. */
function isSource(path: string): boolean {
  return !/[/\\](node_modules|sdks|venv)$/.test(path);
}

/** The settings that each example brings, for all of them at once: Kubernetes' types are read once then, not seven times. */
async function everyProgram() {
  return {
    extends: "./examples/dd-agent/tsconfig.json",
    compilerOptions: { noEmit: true },
    include: ["examples/*/*.ts"],
    // A part of the repository, checked and run with it.
    exclude: ["examples/default"],
  };
}
