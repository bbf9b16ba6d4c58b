import { createRequire } from "node:module";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { type Engine, startEngine } from "./engine.ts";

/** What became of a program. */
export interface Run extends Omit<Engine, "address" | "stop"> {
  exitCode: number | undefined;
  /** What the CLI would print as errors and warnings. */
  complaints: string[];
}

/**
 * Runs a program as the plain CLI does: by Pulumi's own Node.js host, in the program's directory, for a preview.
 * Only the engine behind it is a stand-in.
 */
export async function runProgram(file: URL, config: Record<string, string> = {}): Promise<Run> {
  const engine = await startEngine();
  const path = fileURLToPath(file);
  const pulumiHost = createRequire(import.meta.url).resolve("@pulumi/pulumi/cmd/run");
  const args = ["--monitor", engine.address, "--engine", engine.address, "--dry-run"];
  args.push("--project", "magic-ip-address", "--stack", "test", "--pwd", dirname(path), basename(path));
  try {
    const { exitCode } = await execa(process.execPath, [pulumiHost, ...args], {
      reject: false,
      env: { PULUMI_NODEJS_TYPESCRIPT: "true", PULUMI_CONFIG: JSON.stringify(configuration(config)) },
    });
    const { registrations, outputs, logs } = engine;
    const complaints = logs.filter(({ severity }) => severity >= 2).map(({ message }) => message);
    return { registrations, outputs, logs, exitCode, complaints };
  } finally {
    engine.stop();
  }
}

function configuration(config: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [`magic-ip-address:${key}`, value]));
}
