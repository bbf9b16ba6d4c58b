import type { Command } from "commander";
import { everyBackend } from "../netfilter/choice.ts";
import { Conntrack } from "../netfilter/conntrack.ts";
import { cleanNode } from "../sync/cleanup.ts";
import { instanceName, type Surroundings, UsageError } from "./terminal.ts";

interface CleanupOptions {
  instance?: string;
  all?: boolean;
}

export function addCleanup(command: Command, surroundings: Surroundings): void {
  command
    .description("remove what an installation left on this node: its table and the flows to its magic IPs")
    .option(
      "-i, --instance <name>",
      "the installation, <namespace>.<release> (default: INSTANCE)",
      instanceName,
    )
    .option("-a, --all", "every installation of magic IP addresses on this node")
    .action(async (options: CleanupOptions) => cleanup(options, surroundings));
}

async function cleanup({ instance, all }: CleanupOptions, { env, out }: Surroundings): Promise<void> {
  const named = instance ?? env.INSTANCE;
  if (!all && !named)
    throw new UsageError("say which installation: --instance <namespace>.<release>, or --all");
  const only = all || !named ? undefined : instanceName(named);
  const flows = new Conntrack();
  const { text, faults } = await cleanNode(only, await everyBackend(), flows);
  flows.end();
  out(text);
  if (faults.length === 0) return;
  const what = faults.map(({ part, error }) => `  ${part}: ${error.message}`).join("\n");
  throw new Error(`the node may not be clean, for not all of it could be looked at or removed:\n${what}`);
}
