// What the agent's memory is after an hour's work: the real bundle, on a node of the real cluster, with a target that is
// replaced every five seconds. By default the hour's 720 replacements come as fast as the API server takes them;
// `--minutes 60` spreads them over the hour.
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { execa } from "execa";
import { attach, type Cluster, down, up } from "../cluster/cluster.ts";
import { say, step } from "../support/progress.ts";

const replacements = 720;
const node = "bench";
const namespace = "magic-ip-bench";
const bundle = fileURLToPath(new URL("../../dist/agent/main.mjs", import.meta.url));

const { values } = parseArgs({ options: { minutes: { type: "string", default: "0" } } });
const pause = (Number(values.minutes) * 60_000) / replacements;

const running = await attach();
const cluster = running ?? (await up());
const directory = await mkdtemp(join(tmpdir(), "magic-ip-bench-"));
try {
  await prepareNode();
  await measure();
} finally {
  await cluster.kubectl(["delete", "namespace", namespace, "--wait=false"]);
  await cluster.kubectl(["delete", "node", node]);
  await rm(directory, { recursive: true });
  if (running === undefined) await down();
}
process.exit(0);

/** A node without a kubelet: its pods are what this script says they are. */
async function prepareNode(): Promise<void> {
  const taint = { key: "magic-ip-bench", effect: "NoExecute" };
  await create({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
  await create({ apiVersion: "v1", kind: "Node", metadata: { name: node }, spec: { taints: [taint] } });
}

async function measure(): Promise<void> {
  await step("bundle the agent", () => execa("npm", ["run", "-s", "build:agent"]));
  const files = await writeConfiguration(cluster);
  await execa(process.execPath, [...nodeFlags(), bundle, "--version"], { env: environment() });
  const agent = startAgent(cluster, files);
  await delay(3000);
  const samples: number[] = [];
  await step(`replace a target ${replacements} times`, async (note) => {
    for (let count = 0; count < replacements; count++) {
      if (count % (replacements / 4) === 0) samples.push(residentMegabytes(agent.pid));
      await replaceTarget(count);
      note(`${count + 1} of ${replacements}`);
      await delay(pause);
    }
  });
  await delay(2000);
  samples.push(residentMegabytes(agent.pid));
  agent.kill();
  const log = String((await agent).stdout);
  say(`  the agent followed ${log.split("→").length - 1} of ${replacements} replacements one by one`);
  console.log(`agent resident memory: ${samples.map((sample) => `${sample} MB`).join(" → ")} (aim ≤ 80 MB)`);
}

/** Writes what the agent reads: an address, and a kubeconfig, because in a node the API server has another address. */
async function writeConfiguration({
  kubeconfig,
  kubectl,
}: Cluster): Promise<{ config: string; kubeconfig: string }> {
  const output = "jsonpath=https://{.endpoints[0].addresses[0]}:{.ports[0].port}";
  const inside = JSON.parse(readFileSync(kubeconfig, "utf8"));
  inside.clusters[0].cluster.server = await kubectl(["get", "endpointslices", "kubernetes", "-o", output]);
  const files = { config: join(directory, "config.json"), kubeconfig: join(directory, "kubeconfig") };
  const addresses = [
    { ipAddress: "169.254.210.219", namespace, selector: "app=bench", ports: [{ port: 80 }] },
  ];
  await writeFile(files.config, JSON.stringify({ instance: "bench", addresses }));
  await writeFile(files.kubeconfig, JSON.stringify(inside), { mode: 0o600 });
  return files;
}

function startAgent({ nodes }: Cluster, { config, kubeconfig }: { config: string; kubeconfig: string }) {
  const argv = [process.execPath, ...nodeFlags(), bundle, "run", "--config", config, "--node", node];
  const env = { ...environment(), KUBECONFIG: kubeconfig };
  return execa("nsenter", [`--net=/run/netns/${nodes[0]?.netns}`, ...argv], { env, reject: false });
}

/** As the image sets it; the compiled code is put there by a first run, as in the image. */
function environment() {
  return { MALLOC_ARENA_MAX: "1", NODE_COMPILE_CACHE: join(directory, "cache") };
}

/** Those of the image. */
function nodeFlags(): string[] {
  const dockerfile = readFileSync(new URL("../../agent/Dockerfile", import.meta.url), "utf8");
  const entrypoint = JSON.parse(/^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1] ?? "[]") as string[];
  return entrypoint.filter((word) => word.startsWith("--"));
}

async function replaceTarget(count: number): Promise<void> {
  const name = `target-${count}`;
  const spec = {
    nodeName: node,
    containers: [{ name: "c", image: "none" }],
    tolerations: [{ operator: "Exists" }],
    terminationGracePeriodSeconds: 0,
  };
  await create({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { app: "bench" } },
    spec,
  });
  const podIP = `10.99.${count >> 8}.${count & 255 || 1}`;
  const status = {
    phase: "Running",
    podIP,
    podIPs: [{ ip: podIP }],
    conditions: [{ type: "Ready", status: "True" }],
  };
  await cluster.kubectl([
    "patch",
    "pod",
    name,
    "-n",
    namespace,
    "--subresource=status",
    "--type=merge",
    "-p",
    JSON.stringify({ status }),
  ]);
  if (count > 0)
    await cluster.kubectl([
      "delete",
      "pod",
      `target-${count - 1}`,
      "-n",
      namespace,
      "--wait=false",
      "--force",
    ]);
}

async function create(manifest: object): Promise<void> {
  await cluster.kubectl(["create", "-f", "-"], { input: JSON.stringify(manifest) });
}

function residentMegabytes(pid: number | undefined): number {
  const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Math.round(Number(kilobytes) / 1024);
}
