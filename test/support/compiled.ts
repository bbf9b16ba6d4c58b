import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { cached, contentHash } from "./cache.ts";
import { netlinkProgram } from "./netlink.ts";

/** The sources of the agent's netlink program, of which the tests' programs use parts. */
export const netlinkSources = fileURLToPath(new URL("../../agent/netlink", import.meta.url));

/** A program of the tests, built from its C sources once for each state of them. */
export async function compiled(name: string, ...sources: string[]): Promise<string> {
  // It makes sure of the compiler, too.
  await netlinkProgram();
  const hash = contentHash(process.arch, ...sources.map((file) => readFileSync(file)));
  const directory = await cached(`${name}-${hash}`, async (draft) => {
    const flags = ["-O2", "-std=gnu11", "-D_GNU_SOURCE", "-static", "-pthread", `-I${netlinkSources}`];
    await execa("cc", [...flags, "-o", join(draft, name), ...sources]);
  });
  return join(directory, name);
}
