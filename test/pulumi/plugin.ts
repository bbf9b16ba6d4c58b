import { constants } from "node:fs";
import { access, chmod, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The engine's Kubernetes provider: the real one where it is installed, else the stand-in of provider/. */
export type KubernetesPlugin = { kind: "real"; executable: string } | { kind: "stand-in" };

const NAME = "pulumi-resource-kubernetes";

/** Looks for the real provider on the PATH and among Pulumi's installed plugins. */
export async function kubernetesPlugin(): Promise<KubernetesPlugin> {
  const onPath = (process.env.PATH ?? "").split(delimiter).map((directory) => join(directory, NAME));
  for (const executable of [...onPath, ...(await installedPlugins())]) {
    if (await isExecutable(executable)) return { kind: "real", executable };
  }
  return { kind: "stand-in" };
}

/** Puts the provider's executable into a directory that the engine will have on its PATH. */
export async function placePlugin(plugin: KubernetesPlugin, directory: string): Promise<void> {
  const executable = join(directory, NAME);
  await rm(executable, { force: true });
  if (plugin.kind === "real") return symlink(plugin.executable, executable);
  await writeFile(executable, launcher());
  await chmod(executable, 0o755);
}

async function installedPlugins(): Promise<string[]> {
  const plugins = join(process.env.PULUMI_HOME ?? join(homedir(), ".pulumi"), "plugins");
  const entries = await readdir(plugins).catch(() => []);
  const collator = new Intl.Collator("en", { numeric: true });
  return entries
    .filter((entry) => /^resource-kubernetes-v[\d.]+$/.test(entry))
    .sort((a, b) => collator.compare(b, a))
    .map((entry) => join(plugins, entry, NAME));
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function launcher(): string {
  const provider = fileURLToPath(new URL("./provider/provider.ts", import.meta.url));
  // Node.js runs TypeScript by itself (from 22.18), in half the time that it takes with tsx.
  return `#!/bin/sh\nexec ${quoted(process.execPath)} ${quoted(provider)} "$@"\n`;
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
