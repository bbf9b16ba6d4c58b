import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { buildGoTools } from "../support/build.ts";

const PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi";
const VERSION = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version";

/**
 * The path of the Pulumi CLI: the one that MAGIC_IP_PULUMI names, else the one of engine/go.mod, built once.
 * A `pulumi` on the PATH is not asked: which version ran should be the repository's choice, not the machine's.
 */
export async function pulumiCli(): Promise<string> {
  const named = process.env.MAGIC_IP_PULUMI;
  if (named && !existsSync(named)) throw new Error(`MAGIC_IP_PULUMI=${named}: there is no such file`);
  if (named) return resolve(named);
  const directory = fileURLToPath(new URL("./engine", import.meta.url));
  const version = engineVersion(directory);
  const tools = await buildGoTools({
    name: `pulumi-${version.slice(1)}`,
    directory,
    packages: [PACKAGE],
    // A build from the module knows no version, and the Automation API refuses an engine without one.
    ldflags: `-s -w -X ${VERSION}=${version}`,
  });
  return join(tools, "pulumi");
}

function engineVersion(directory: string): string {
  const version = /pulumi\/pkg\/v3 (v[\d.]+)/.exec(readFileSync(join(directory, "go.mod"), "utf8"))?.[1];
  if (!version) throw new Error(`${directory}/go.mod names no version of github.com/pulumi/pulumi/pkg/v3`);
  return version;
}
