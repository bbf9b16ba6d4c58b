import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "./patience.ts";

/** Makes a cgroup in every hierarchy of the machine: the kubelet wants its root to be there. */
export function createCgroup(path: string): void {
  for (const root of hierarchies()) {
    if (existsSync(join(root, "cgroup.controllers"))) delegateControllers(root);
    mkdirSync(join(root, path), { recursive: true });
    // A version 1 cpuset starts empty, and nothing can run in it.
    for (const file of ["cpuset.cpus", "cpuset.mems"]) copyFromParent(root, path, file);
  }
}

/** Removes a cgroup and all below it; what ran in it may take a moment to be gone. */
export async function removeCgroup(path: string): Promise<void> {
  for (const root of hierarchies()) {
    const directory = join(root, path);
    await until({ what: `cgroup ${directory} to be empty`, seconds: 5 }, () => removeTree(directory));
  }
}

/** Version 2 has one hierarchy; version 1 one for each controller, and in the hybrid layout a second version beside them. */
function hierarchies(): string[] {
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
  const rows = mounts.map((mount) => mount.split(" "));
  const ours = rows.filter(
    ([, place, type]) => place?.startsWith("/sys/fs/cgroup") && type?.startsWith("cgroup"),
  );
  return [...new Set(ours.map(([, place = ""]) => place))];
}

function delegateControllers(root: string): void {
  const controllers = readFileSync(join(root, "cgroup.controllers"), "utf8").split(/\s+/).filter(Boolean);
  if (controllers.length === 0) return; // the hybrid layout: version 1 has them all
  writeFileSync(join(root, "cgroup.subtree_control"), controllers.map((name) => `+${name}`).join(" "));
}

function copyFromParent(root: string, path: string, file: string): void {
  const parent = join(root, file);
  if (!existsSync(join(root, "cgroup.controllers")) && existsSync(parent))
    writeFileSync(join(root, path, file), readFileSync(parent, "utf8").trim());
}

/** Only directories can be removed in a cgroup file system, the innermost first. */
function removeTree(directory: string): boolean {
  if (!existsSync(directory)) return true;
  const children = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const removed = children.map(({ name }) => removeTree(join(directory, name)));
  if (removed.includes(false)) return false;
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EBUSY") return false;
    throw error;
  }
}
