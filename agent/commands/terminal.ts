import { hostname } from "node:os";
import { readFile } from "node:fs/promises";
import { type Config, configFromEnvironment, instancePattern, parseConfig } from "../config/config.ts";

/** Where a command writes its output and its error messages. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
}

/** What a command works with: the terminal, and the environment variables that replace options. */
export interface Surroundings extends Terminal {
  env: NodeJS.ProcessEnv;
}

/** Arguments that are well formed but make no sense. */
export class UsageError extends Error {}

/** A doctor run or a call failed; its output already says why. */
export class UnwellError extends Error {}

export interface Options {
  config?: string;
  node?: string;
}

/** Reads the configuration from --config, else from the environment. @throws {ConfigError}, {UsageError} */
export async function loadConfig({ config }: Options, env: NodeJS.ProcessEnv): Promise<Config> {
  return config === undefined ? configFromEnvironment(env) : parseConfig(await readText(config), config);
}

/** @throws {UsageError} where the file cannot be read */
export async function readText(file: string): Promise<string> {
  return readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === "ENOENT" ? "there is no such file" : error.message;
    throw new UsageError(`${file} cannot be read: ${reason}`);
  });
}

/** The node's name: --node, else NODE_NAME, else the host name. */
export function nodeName({ node }: Options, env: NodeJS.ProcessEnv): string {
  return node ?? (env.NODE_NAME || hostname());
}

/** The instance becomes part of an nft identifier, so the configuration's pattern applies here, too. */
export function instanceName(text: string): string {
  if (instancePattern.test(text)) return text;
  throw new UsageError(
    `"${text}" is no installation: write letters, digits, "." and "-" only, as kube-system.dd-agent`,
  );
}
