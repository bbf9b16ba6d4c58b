import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, Option } from "commander";
import { installFromConfig } from "../../examples/default/program.ts";
import { callers, callFrom } from "../cluster/callers.ts";
import { clientDaemonSet, echoDaemonSet, type Manifest, programs } from "../cluster/workloads.ts";
import { openStack, type Stack } from "../pulumi/stack.ts";
import { say, step } from "../support/progress.ts";
import { currentCluster, type DemoCluster, ownCluster } from "./clusters.ts";
import { table } from "./table.ts";

const namespace = "magic-ip-demo";
const magicIp = "169.254.210.210";
const ports = [
  { name: "http", port: 80, targetPort: 8080 },
  { name: "stats", port: 80, targetPort: 8080, protocol: "UDP" },
];

interface DemoOptions {
  nodes: number;
  useCurrentCluster?: boolean;
  agentImage?: string;
  nodeImage: string;
  keepCluster?: boolean;
}

const command = new Command("npm run demo --")
  .description(
    "Installs a magic IP on a real Kubernetes cluster with the real Pulumi engine, calls it from a pod on every node, removes it.",
  )
  .option("--nodes <number>", "nodes of the cluster that the demo makes", Number, 2)
  .option("--keep-cluster", "leave the cluster that the demo made running")
  .option("--use-current-cluster", "use the cluster of KUBECONFIG instead of making one")
  .option("--agent-image <image>", "with --use-current-cluster: the agent's image, as the nodes pull it")
  .addOption(
    new Option(
      "--node-image <image>",
      "with --use-current-cluster: an image with Node.js for target and clients",
    ).default("node:24-bookworm-slim"),
  )
  .action((options: DemoOptions) => demo(options));

await command.parseAsync().catch((error: Error) => {
  say(`\nThe demo stopped: ${error.message}`);
  process.exit(1);
});
process.exit(0);

async function demo(options: DemoOptions): Promise<void> {
  const started = performance.now();
  const cluster = options.useCurrentCluster ? await currentCluster(options) : await ownCluster(options);
  try {
    await step("deploy an HTTP and UDP echo target and a client on every node", () => deploy(cluster));
    await tryMagicIp(cluster);
  } finally {
    await cluster.close(namespace);
  }
  say(`\nAll of it worked, in ${((performance.now() - started) / 1000).toFixed(0)} s.`);
}

async function deploy(cluster: DemoCluster): Promise<void> {
  const { nodeImage: image } = cluster;
  await apply(cluster, programs(namespace));
  await apply(cluster, [
    echoDaemonSet({ namespace, name: "echo", image }),
    clientDaemonSet(namespace, image),
  ]);
  for (const name of ["echo", "client"]) {
    await cluster.kubectl(["rollout", "status", "-n", namespace, `daemonset/${name}`, "--timeout=180s"]);
  }
}

async function apply(cluster: DemoCluster, items: Manifest[]): Promise<void> {
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  await cluster.kubectl(["apply", "-f", "-"], { input });
}

async function tryMagicIp(cluster: DemoCluster): Promise<void> {
  const stateDirectory = await mkdtemp(join(tmpdir(), "magic-ip-demo-"));
  const stack = await openStack({
    program: async () => ({ endpoint: installFromConfig().endpoint }),
    kubeconfig: cluster.kubeconfig,
    stackName: "demo",
    stateDirectory,
    config: {
      ipAddress: magicIp,
      selector: "app=echo",
      namespace,
      ports: JSON.stringify(ports),
      image: cluster.agentImage,
    },
  });
  say(
    `  Pulumi's engine is real; the Kubernetes provider is ${stack.plugin.kind === "real" ? "Pulumi's own" : "the tests' stand-in"}.`,
  );
  try {
    await install(stack);
    await showAnswers(cluster);
    await showNothingChanges(stack);
  } finally {
    await step("pulumi destroy", () => stack.destroy());
  }
  await showNothingIsLeft(cluster, stack);
  await rm(stateDirectory, { recursive: true, force: true });
}

async function install(stack: Stack): Promise<void> {
  const { changes } = await step("pulumi up", () => stack.up());
  const { endpoint } = await stack.outputs();
  say(`  ${changes.created} resources created; endpoint ${endpoint}`);
}

async function showAnswers(cluster: DemoCluster): Promise<void> {
  const rows: string[][] = [];
  for (const caller of await callers(cluster, namespace)) {
    for (const transport of ["tcp", "udp"] as const) {
      const call = await callFrom(cluster, namespace, caller, transport, magicIp, 80);
      rows.push([
        caller.node,
        caller.pod,
        `${magicIp}:80/${transport}`,
        call.pod ?? call.error ?? "",
        call.node ?? "",
        `${call.milliseconds} ms`,
      ]);
      if (call.node !== caller.node)
        throw new Error(
          `${caller.pod} on ${caller.node} was answered by ${call.pod ?? call.error} on ${call.node ?? "no node"}`,
        );
    }
  }
  say(`\n${table(["NODE", "CLIENT", "CALLS", "ANSWERED BY", "ON NODE", "TIME"], rows)}\n`);
}

async function showNothingChanges(stack: Stack): Promise<void> {
  const { changes } = await step("pulumi up again", () => stack.up());
  const changed = changes.created + changes.updated + changes.replaced + changes.deleted;
  if (changed > 0) throw new Error(`a second up changed ${changed} resources`);
  say(`  nothing changed (${changes.same} resources are the same)`);
}

async function showNothingIsLeft(cluster: DemoCluster, stack: Stack): Promise<void> {
  const selector = "app.kubernetes.io/name=magic-ip-address";
  const kinds = "daemonsets,pods,configmaps,serviceaccounts,roles,rolebindings";
  const left = (await cluster.kubectl(["get", kinds, "-A", "-l", selector, "-o", "name"])).trim();
  if (left !== "") throw new Error(`left in the cluster: ${left.replaceAll("\n", ", ")}`);
  const state = (await stack.resources()).filter((urn) => urn.includes("kubernetes:"));
  if (state.length > 0) throw new Error(`left in Pulumi's state: ${state.join(", ")}`);
  const tables = await cluster.tables();
  if (tables.length > 0) throw new Error(`left on the nodes: ${tables.join(", ")}`);
  say("  no resource is left in the cluster, and no table on any node");
}
