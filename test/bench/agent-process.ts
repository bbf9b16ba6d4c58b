import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import type { Cluster } from "../cluster/cluster.ts";
import { netlinkProgram } from "../support/netlink.ts";
import { step } from "../support/progress.ts";

const bundle = fileURLToPath(new URL("../../dist/agent/main.mjs", import.meta.url));

/** The installation's name, and so that of its table. */
export const instance = "bench";

/** Bundles the agent as the image's build does, and fills its compile cache as the image has it. */
export async function bundleAgent(directory: string): Promise<void> {
  await step("bundle the agent", () => execa("npm", ["run", "-s", "build:agent"]));
  await execa(process.execPath, [...imageNodeFlags(), bundle, "--version"], { env: environment(directory) });
}

/** The real bundle on the network of the cluster's first node, where it takes itself for `node`. */
export async function startAgent(cluster: Cluster, directory: string, node: string, addresses: object[]) {
  const files = await writeFiles(cluster, directory, addresses);
  const argv = [
    process.execPath,
    ...imageNodeFlags(),
    bundle,
    "run",
    "--config",
    files.config,
    "--node",
    node,
  ];
  const path = `${dirname(await netlinkProgram())}:${process.env.PATH}`;
  const env = { ...environment(directory), KUBECONFIG: files.kubeconfig, PATH: path };
  const entering = [`--net=/run/netns/${cluster.nodes[0]?.netns}`];
  // A promise of the process would be a promise of its end.
  return { process: execa("nsenter", [...entering, ...argv], { env, reject: false, buffer: false }) };
}

/** Its rules outlive the agent. */
export async function removeRules(cluster: Cluster): Promise<void> {
  await cluster.nodes[0]?.exec(["nft", "delete", "table", "inet", `magic-ip-${instance}`], { reject: false });
}

/** Those of the image. */
export function imageNodeFlags(): string[] {
  const dockerfile = readFileSync(new URL("../../agent/Dockerfile", import.meta.url), "utf8");
  const entrypoint = JSON.parse(/^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1] ?? "[]") as string[];
  return entrypoint.filter((word) => word.startsWith("--"));
}

/** As the image sets it; the compiled code is put there by a first run, as in the image. */
export function environment(directory: string) {
  return { MALLOC_ARENA_MAX: "1", NODE_COMPILE_CACHE: join(directory, "cache") };
}

/** Of the agent and of the programs that stay with it, as a container's limit counts them. */
export function residentMegabytes(pid: number | undefined): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
  const kilobytes = [pid, ...children].map((id) => {
    const status = existsSync(`/proc/${id}/status`) ? readFileSync(`/proc/${id}/status`, "utf8") : "";
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
  });
  return Math.round(kilobytes.reduce((sum, each) => sum + each, 0) / 1024);
}

/** What the agent reads: its addresses, and a kubeconfig, because in a node the API server has another address. */
async function writeFiles({ kubeconfig, kubectl }: Cluster, directory: string, addresses: object[]) {
  const output = "jsonpath=https://{.endpoints[0].addresses[0]}:{.ports[0].port}";
  const inside = JSON.parse(readFileSync(kubeconfig, "utf8"));
  inside.clusters[0].cluster.server = await kubectl(["get", "endpointslices", "kubernetes", "-o", output]);
  const files = { config: join(directory, "config.json"), kubeconfig: join(directory, "kubeconfig") };
  await writeFile(files.config, JSON.stringify({ instance, addresses }));
  await writeFile(files.kubeconfig, JSON.stringify(inside), { mode: 0o600 });
  return files;
}
