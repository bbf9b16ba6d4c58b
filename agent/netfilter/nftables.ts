import { tableName } from "../ruleset/nftables.ts";
import { CommandError, command } from "./command.ts";

/** Hands a transaction to the kernel: all of it holds afterwards, or nothing changed. @throws {CommandError} */
export async function applyRuleset(text: string): Promise<void> {
  await command("nft", ["-f", "-"], text);
}

/**
 * The installation's table as the kernel has it, without counters; undefined when there is none.
 * Only our own table is asked for: nft 1.0.6 crashes on some tables of newer tools (kubernetes/kubernetes#136786).
 */
export async function listTable(instance: string): Promise<string | undefined> {
  try {
    return await command("nft", ["--stateless", "--numeric", "list", "table", "inet", tableName(instance)]);
  } catch (error) {
    if (error instanceof CommandError && /no such file or directory/i.test(error.stderr)) return undefined;
    throw error;
  }
}

/** The instances that have a table on this node, whoever made it. */
export async function listInstances(): Promise<string[]> {
  const tables = await command("nft", ["list", "tables", "inet"]);
  return [...tables.matchAll(/^table inet magic-ip-(\S+)$/gm)].map(([, instance]) => instance ?? "");
}
