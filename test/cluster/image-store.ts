import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { cached, contentHash } from "../support/cache.ts";
import { isAlive } from "../support/process.ts";
import { step } from "../support/progress.ts";
import { answers, containerdConfig, type Snapshotter } from "./containerd.ts";
import { loadImage } from "./image-loading.ts";
import { endLaunched, launch } from "./launch.ts";
import { until } from "./patience.ts";

/**
 * A containerd root directory with images in it, made once. A node that starts with a copy has the images in no time, where
 * importing them takes seconds for each node, again at each start.
 */
export async function imageStore(archives: readonly string[], snapshotter: Snapshotter): Promise<string> {
  // The archives lie in cache entries that are named for their content.
  const entry = `image-store-${contentHash(snapshotter, ...archives)}`;
  const directory = await cached(entry, (draft) =>
    step("make the image store that nodes start with", () => fill(draft, archives, snapshotter)),
  );
  return join(directory, "root");
}

/**
 * Copies a store to where a node's containerd will look for it. Contents and layers are never written again, so that links to
 * the same files do; the databases are written, and are copied.
 */
export async function copyStore(store: string, root: string): Promise<void> {
  mkdirSync(dirname(root), { recursive: true });
  await execa("cp", ["--archive", "--link", store, root]);
  const { stdout } = await execa("find", [store, "-maxdepth", "2", "-name", "*.db", "-printf", "%P\\n"]);
  const copies = stdout
    .split("\n")
    .filter(Boolean)
    .map((file) => copyFile(join(store, file), join(root, file)));
  await Promise.all(copies);
}

async function copyFile(from: string, to: string): Promise<void> {
  await execa("cp", ["--archive", "--remove-destination", from, to]);
}

/** containerd is started on the host only for this, with all it has in the draft; its sockets need a short path. */
async function fill(draft: string, archives: readonly string[], snapshotter: Snapshotter): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), "magic-ip-store-"));
  const socket = join(work, "containerd.sock");
  const plan = { root: join(draft, "root"), state: join(work, "state"), socket };
  const [config, log] = [join(work, "containerd.toml"), join(draft, "containerd.log")];
  writeFileSync(config, containerdConfig(plan));
  const containerd = launch(["containerd", "--config", config], log);
  try {
    const hopeless = () => (isAlive(containerd) ? undefined : "the program has ended");
    await until({ what: "containerd to answer", seconds: 30, log, hopeless }, () => answers(socket));
    for (const archive of archives) await loadImage([{ socket, root: plan.root, snapshotter }], archive);
  } finally {
    await endLaunched(containerd, "ask");
    await rm(work, { recursive: true, force: true });
  }
}
