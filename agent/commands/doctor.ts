import type { Command } from "commander";
import { doctor } from "../doctor/preflight.ts";
import { loadConfig, type Options, type Surroundings, UnwellError } from "./terminal.ts";

export function addDoctor(command: Command, { out, env }: Surroundings): void {
  command
    .description("name what on this node would make traffic fail, with the remedies; changes nothing")
    .action(async (options: Options) => {
      const named = options.config !== undefined || env.MAGIC_IP;
      const { text, ok } = await doctor(named ? await loadConfig(options, env) : undefined);
      out(text);
      if (!ok) throw new UnwellError();
    });
}
