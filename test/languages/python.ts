import { readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { cached, contentHash } from "../support/cache.ts";
import { ensurePackages } from "../support/debian.ts";
import { step } from "../support/progress.ts";

// What the generated package asks for besides the SDK, and what installs it.
const BESIDES = ["parver>=0.2.1", "semver>=2.8.1", "setuptools", "wheel"];

const REQUIREMENTS = new URL("../../examples/python/requirements.txt", import.meta.url);

/** Puts the virtual environment where the example's Pulumi.yaml says it is. */
export async function layOutPython(directory: string): Promise<void> {
  await symlink(await pythonEnvironment(), join(directory, "venv"));
}

/** Installs the generated package beside the program, with pip, as Pulumi's own host does; `PYTHONPATH` leads there. */
export async function installGenerated(directory: string): Promise<void> {
  const places = ["--target", join(directory, "packages"), join(directory, "sdks/magic-ip-address")];
  const pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", ...places];
  await execa(join(directory, "venv/bin/python3"), pip);
}

/** A virtual environment with what the example requires, made once: its directory. */
export async function pythonEnvironment(): Promise<string> {
  const wanted = (await readFile(REQUIREMENTS, "utf8")).split("\n").filter((line) => /^\w/.test(line));
  return cached(`python-${contentHash(...wanted, ...BESIDES)}`, async (draft) => {
    const { failed } = await execa("python3", ["-c", "import ensurepip, venv"], { reject: false });
    if (failed) await ensurePackages(["python3", "python3-venv"]);
    await step("install Pulumi's SDK for Python", async () => {
      await execa("python3", ["-m", "venv", draft]);
      const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...wanted, ...BESIDES];
      await execa(join(draft, "bin/python3"), pip);
    });
  });
}
