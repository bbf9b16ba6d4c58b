import { existsSync } from "node:fs";
import { mkdir, rm, symlink } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { buildGoTools } from "../support/build.ts";

export type Language = "python" | "go" | "yaml";

const HOST = fileURLToPath(new URL("./host", import.meta.url));
const SDK = "github.com/pulumi/pulumi/sdk/v3";
/** What host/ serves; of what the YAML host is made of the Go module proxy has nothing. */
const SERVED: readonly Language[] = ["python", "go"];

/**
 * Who serves a language to the engine: Pulumi's own host where it is on the PATH, else the one in host/, which is made of
 * Pulumi's published modules; nobody where neither is there.
 */
export function hostOf(language: Language): "Pulumi's own host" | "the host of the tests" | undefined {
  if (ownHost(language)) return "Pulumi's own host";
  return SERVED.includes(language) ? "the host of the tests" : undefined;
}

/** Puts the language hosts into a directory that the engine will have on its PATH. */
export async function placeHosts(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const tools = await buildGoTools({ name: "pulumi-language-host", directory: HOST, packages: ["."] });
  const ours = join(tools, "language-host");
  // For Node.js always ours: Pulumi's own fetches all that a package's developers need before it serves the package.
  const chosen = {
    nodejs: ours,
    python: ownHost("python") ?? ours,
    go: ownHost("go") ?? ours,
    yaml: ownHost("yaml"),
  };
  for (const [language, executable] of Object.entries(chosen)) {
    const link = join(directory, `pulumi-language-${language}`);
    await rm(link, { force: true });
    if (executable) await symlink(executable, link);
  }
}

/** The script that runs a Python program: a part of the SDK's Go module, not of its Python package. */
export async function pythonExecutor(): Promise<string> {
  const { stdout } = await execa("go", ["mod", "download", "-json", SDK], { cwd: HOST });
  const { Dir } = JSON.parse(stdout) as { Dir: string };
  return join(Dir, "python/cmd/pulumi-language-python-exec");
}

function ownHost(language: Language): string | undefined {
  const directories = (process.env.PATH ?? "").split(delimiter);
  return directories
    .map((directory) => join(directory, `pulumi-language-${language}`))
    .find((executable) => existsSync(executable));
}
