import { readFileSync, rmdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { isAlive, markOf, type ProcessMark } from "../support/process.ts";
import { removeCgroup } from "./cgroups.ts";
import { endLaunched } from "./launch.ts";
import { deleteNetworks, existingNetworks, otherClusters, processesIn } from "./network.ts";
import { until } from "./patience.ts";
import { planNodes } from "./plan.ts";
import { clusterName, readState, runDirectory, type State } from "./state.ts";

/** Removes a cluster, whole or half, running or crashed. Each step finds by itself what is left for it to do. */
export async function remove(): Promise<void> {
  const state = readState();
  if (state) await endProcesses(state);
  const networks = await existingNetworks(clusterName());
  for (const netns of networks) await endStrays(netns);
  await deleteNetworks(networks);
  if (state) await cleanHost(state);
  await unmountBelow(runDirectory());
  await rm(runDirectory(), { recursive: true, force: true });
}

/** The end of a machine's first process ends all others in it: containerd, kubelet, pods, at whatever they are. */
async function endProcesses({ machines, daemons }: State): Promise<void> {
  const inits = Object.values(machines).filter(isAlive);
  for (const { pid } of inits) process.kill(pid, "SIGKILL");
  await Promise.all(inits.map(gone));
  const rest = daemons.map(({ mark }) => mark).filter(isAlive);
  await Promise.all(rest.map((mark) => endLaunched(mark, "kill")));
}

/** What was started in the moment before a crash and is not recorded: it can only be in our network namespaces. */
async function endStrays(netns: string): Promise<void> {
  const marks = (await processesIn(netns)).map(markOf).filter((mark) => mark !== undefined);
  for (const mark of marks) if (isAlive(mark)) process.kill(mark.pid, "SIGKILL");
  await Promise.all(marks.map(gone));
}

async function gone(mark: ProcessMark): Promise<void> {
  await until({ what: `process ${mark.pid} to end`, seconds: 10 }, () => !isAlive(mark));
}

async function cleanHost(state: State): Promise<void> {
  for (const { cgroup } of planNodes(state.cluster, state.options)) await removeCgroup(cgroup);
  await unmountBelow(state.data);
  await rm(state.data, { recursive: true, force: true });
  // To remove a directory is to unmount it from another cluster's nodes.
  if ((await otherClusters(state.cluster)).length > 0) return;
  for (const directory of state.mountPoints) removeEmpty(directory);
}

/** Whoever else made or uses a mount point of ours, as /run, has something in it. */
function removeEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (!["ENOENT", "ENOTEMPTY", "EBUSY"].includes(code)) throw error;
  }
}

/** Our mounts are in the machines' own mount namespaces and end with them; this is for what should not be there. */
async function unmountBelow(directory: string): Promise<void> {
  const places = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((mount) => mount.split(" ")[1] ?? "");
  const ours = places.filter((place) => place.startsWith(join(directory, "/")));
  for (const place of ours.reverse()) await execa("umount", ["--lazy", place]);
}
