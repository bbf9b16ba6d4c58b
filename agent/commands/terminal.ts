import { hostname } from "node:os";
import { readFile } from "node:fs/promises";
import { type Config, configFromEnvironment, instancePattern, parseConfig } from "../config/config.ts";

/** What a command says to the person who called it, and how the process ends. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
}

/** What a command works with: the terminal, and the environment that stands in for options. */
export interface Surroundings extends Terminal {
  env: NodeJS.ProcessEnv;
}

/** Arguments that are well formed but cannot be meant. */
export class UsageError extends Error {}

/** What the doctor found, or a call, is said already. */
export class UnwellError extends Error {}

export interface Options {
  config?: string;
  node?: string;
}

/** The configuration of --config, else of the environment. @throws {ConfigError}, {UsageError} */
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

/** The node of --node, else of NODE_NAME, else the host. */
export function nodeName({ node }: Options, env: NodeJS.ProcessEnv): string {
  return node ?? (env.NODE_NAME || hostname());
}

/** The instance becomes part of an nft identifier, so it is held to the configuration's rule here too. */
export function instanceName(text: string): string {
  if (instancePattern.test(text)) return text;
  throw new UsageError(
    `"${text}" is no installation: write letters, digits, "." and "-" only, as kube-system.dd-agent`,
  );
}
