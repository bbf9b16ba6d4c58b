import { execa } from "execa";
import manifest from "../../package.json" with { type: "json" };
import type { Kubectl } from "../cluster/callers.ts";
import { attach, down, up } from "../cluster/cluster.ts";
import { pulumiCli } from "../pulumi/engine.ts";
import { agentImage } from "../image/agent-image.ts";
import { step } from "../support/progress.ts";
import { BASE_IMAGE, baseImage } from "../support/rootfs.ts";
import { kubectlPath } from "../support/tools.ts";

/** A cluster as the demo needs it, its own or somebody's. */
export interface DemoCluster extends Kubectl {
  kubeconfig: string;
  /** As the nodes know it. */
  agentImage: string;
  /** An image with Node.js, for target and clients. */
  nodeImage: string;
  /** Our nftables tables on all nodes. */
  tables(): Promise<string[]>;
  /** Takes away what the demo made: the namespace, or the whole cluster. */
  close(namespace: string): Promise<void>;
}

/** The lab's cluster: the running one, or a new one for as long as the demo takes. */
export async function ownCluster({
  nodes,
  keepCluster,
}: {
  nodes: number;
  keepCluster?: boolean;
}): Promise<DemoCluster> {
  // What takes minutes the first time comes before there is a cluster that would run meanwhile.
  await pulumiCli();
  const images = [await baseImage(), await agentImage()];
  const running = await attach();
  const cluster = running ?? (await up({ nodes }));
  for (const image of images) await cluster.loadImage(image);
  return {
    kubeconfig: cluster.kubeconfig,
    kubectl: (args, options) => cluster.kubectl(args, options),
    agentImage: `magic-ip-address-agent:${manifest.version}`,
    nodeImage: BASE_IMAGE,
    async tables() {
      const lists = await Promise.all(
        cluster.nodes.map((node) => node.exec(["nft", "list", "tables", "inet"])),
      );
      return lists
        .flatMap(({ stdout }) => String(stdout).split("\n"))
        .filter((line) => line.includes("magic-ip-"));
    },
    async close(namespace) {
      if (running === undefined && !keepCluster) await step("remove the cluster", down);
      else await removeNamespace(cluster, namespace);
    },
  };
}

/** The cluster of KUBECONFIG, whose nodes have to be able to pull the images. */
export async function currentCluster(options: {
  agentImage?: string;
  nodeImage: string;
}): Promise<DemoCluster> {
  const kubeconfig = process.env.KUBECONFIG;
  if (!kubeconfig) throw new Error("--use-current-cluster takes the cluster of KUBECONFIG, which is not set");
  const program = await kubectlPath();
  const kubectl: Kubectl["kubectl"] = async (args, { input } = {}) => {
    const { stdout } = await execa(program, args, { input: input ?? "", env: { KUBECONFIG: kubeconfig } });
    return stdout;
  };
  const agentImage = options.agentImage ?? `magic-ip-address-agent:${manifest.version}`;
  return {
    kubeconfig,
    kubectl,
    agentImage,
    nodeImage: options.nodeImage,
    tables: () => tablesByPods({ kubectl }, agentImage),
    close: (namespace) => removeNamespace({ kubectl }, namespace),
  };
}

/** Looks into nodes that are only reached through the API: a pod on each, with the agent's image and its one capability. */
async function tablesByPods({ kubectl }: Kubectl, image: string): Promise<string[]> {
  const names = (await kubectl(["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"])).split(" ");
  const items = names.map((node, index) => inspector(`inspector-${index}`, node, image));
  const inDefault = ["--namespace", "default"];
  await kubectl(["apply", "-f", "-"], { input: JSON.stringify({ apiVersion: "v1", kind: "List", items }) });
  try {
    const pods = items.map(({ metadata }) => `pod/${metadata.name}`);
    await kubectl([
      "wait",
      ...inDefault,
      "--for=jsonpath={.status.phase}=Succeeded",
      "--timeout=60s",
      ...pods,
    ]);
    const lists = await Promise.all(pods.map((pod) => kubectl(["logs", ...inDefault, pod])));
    return lists.flatMap((list) => list.split("\n")).filter((line) => line.includes("magic-ip-"));
  } finally {
    await kubectl(["delete", "pods", ...inDefault, "-l", "app=magic-ip-inspector", "--wait=false"]);
  }
}

function inspector(name: string, nodeName: string, image: string) {
  const securityContext = { capabilities: { drop: ["ALL"], add: ["NET_ADMIN"] } };
  const container = { name: "nft", image, command: ["nft", "list", "tables", "inet"], securityContext };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: `magic-ip-${name}`, namespace: "default", labels: { app: "magic-ip-inspector" } },
    spec: {
      nodeName,
      hostNetwork: true,
      restartPolicy: "Never",
      automountServiceAccountToken: false,
      containers: [{ ...container, imagePullPolicy: "IfNotPresent" }],
    },
  };
}

async function removeNamespace({ kubectl }: Kubectl, namespace: string): Promise<void> {
  await step("remove target and clients", () =>
    kubectl(["delete", "namespace", namespace, "--ignore-not-found"]),
  );
}
