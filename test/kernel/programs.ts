import { readdir, readFile, readlink } from "node:fs/promises";
import { type Mode, program } from "../../agent/netfilter/netlink.ts";

/** The netlink programs of a mode that run with this network (as /proc/self/ns/net names it): their process ids. */
export async function runningPrograms(network: string, mode: Mode): Promise<number[]> {
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const running = ids.map(async (id) => {
    const words = (await readFile(`/proc/${id}/cmdline`, "utf8").catch(() => "")).split("\0");
    if (!words.some((word) => word.endsWith(program)) || !words.includes(mode)) return [];
    const place = await readlink(`/proc/${id}/ns/net`).catch(() => undefined);
    return place === network ? [Number(id)] : [];
  });
  return (await Promise.all(running)).flat();
}

/** Ends them; the agent starts them anew. */
export async function endPrograms(network: string, mode: Mode): Promise<void> {
  for (const id of await runningPrograms(network, mode)) process.kill(id, "SIGKILL");
}
