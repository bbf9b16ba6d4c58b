import { statfsSync } from "node:fs";
import { execa } from "execa";

/** How containerd lays the layers of an image over each other. */
export type Snapshotter = "native" | "overlayfs";

/** What is said to a containerd when it starts. */
export interface ContainerdPlan {
  root: string;
  state: string;
  socket: string;
  /** The part of the configuration that makes it a kubelet's; without one it only keeps images. */
  cri?: string;
}

const OVERLAY_MAGIC = 0x794c7630; // statfs(2)
// Of no use here; each costs time at the start, or makes directories on the host.
const UNUSED = [
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
];

/** The text of containerd's configuration file. */
export function containerdConfig({ root, state, socket, cri }: ContainerdPlan): string {
  const disabled = cri === undefined ? [...UNUSED, "io.containerd.grpc.v1.cri"] : UNUSED;
  return `version = 2
root = "${root}"
state = "${state}"
disabled_plugins = ${JSON.stringify(disabled)}
[grpc]
  address = "${socket}"
${cri ?? ""}`;
}

/** Runs containerd's own client where the kubelet's images are; returns what it prints. */
export async function ctr(socket: string, args: readonly string[]): Promise<string> {
  const where = ["--address", socket, "--namespace", "k8s.io"];
  const { stdout } = await execa("ctr", [...where, ...args], { stdin: "ignore" });
  return stdout;
}

/** Whether containerd answers. */
export async function answers(socket: string): Promise<boolean> {
  const { failed } = await execa("ctr", ["--address", socket, "version"], { reject: false, timeout: 5000 });
  return !failed;
}

/** Imports a docker-archive and unpacks it. */
export async function importArchive(
  socket: string,
  archive: string,
  snapshotter: Snapshotter,
): Promise<void> {
  await ctr(socket, ["images", "import", "--snapshotter", snapshotter, archive]);
}

/** An overlay on an overlay does not work; copying every layer always does. */
export function snapshotterFor(directory: string): Snapshotter {
  return statfsSync(directory).type === OVERLAY_MAGIC ? "native" : "overlayfs";
}
