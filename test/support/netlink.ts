import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { cached, contentHash } from "./cache.ts";
import { ensurePackages } from "./debian.ts";

const sources = fileURLToPath(new URL("../../agent/netlink", import.meta.url));

let program: Promise<string> | undefined;

/** The agent's netlink program for this machine: its path. Compiled when its sources have changed. */
export function netlinkProgram(): Promise<string> {
  return (program ??= compiled());
}

async function compiled(): Promise<string> {
  const files = readdirSync(sources).filter((name) => /\.[ch]$|^Makefile$/.test(name));
  const contents = files.sort().map((name) => readFileSync(join(sources, name)));
  const entry = `netlink-${contentHash(process.arch, files.join("\n"), ...contents)}`;
  const directory = await cached(entry, async (draft) => {
    await ensurePackages(["gcc", "libc6-dev", "make"]);
    await execa("make", [`--directory=${sources}`, `OUTPUT=${join(draft, "magic-ip-netlink")}`]);
  });
  return join(directory, "magic-ip-netlink");
}
