import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type * as magicIpAddress from "../../index.ts";
import packageJson from "../../package.json" with { type: "json" };
import { type Consumer, consumer } from "../package/consumer.ts";
import { openStack, type Stack } from "../pulumi/stack.ts";
import { say } from "../support/progress.ts";
import { type Received, received } from "../telemetry/received.ts";
import { application, collectors } from "../telemetry/workloads.ts";
import type { Cluster } from "./cluster.ts";

const namespace = "magic-ip-telemetry";
const orders = 20;
// The collector adds metrics up for a second, and its log takes another.
const patience = { timeout: 30_000, interval: 500 };

/** The part of a pod that says who it is, and where. */
interface Pod {
  metadata: { name: string };
  spec: { nodeName: string };
  status: { podIP: string };
}

/**
 * Spans and metrics on the way that they are meant for: an application's own libraries, a magic IP, and an OpenTelemetry
 * Collector on every node. The cluster has the images of the agent, which is named here, and of the collector.
 */
export function telemetryTests(theCluster: () => Cluster, image: string): void {
  describe("telemetry of real libraries", () => {
    let stack: Stack;
    let stateDirectory: string;
    let user: Consumer;

    beforeAll(async () => {
      user = await consumer();
      const { kubeconfig } = theCluster();
      await apply(await collectors(namespace));
      stateDirectory = await mkdtemp(join(tmpdir(), "magic-ip-telemetry-"));
      const request = { kubeconfig, stackName: "telemetry", stateDirectory };
      stack = await openStack({ ...request, program: async () => program(packageOf(user), image) });
      // The application sends once, and does not wait for a target.
      await kubectl(`rollout status -n ${namespace} daemonset/collector --timeout=60s`);
      await stack.up();
    });

    afterAll(async () => {
      await stack?.destroy().catch((error: Error) => say(error.message));
      await kubectl(`delete namespace ${namespace} --ignore-not-found --wait=false`);
      if (stateDirectory) await rm(stateDirectory, { recursive: true, force: true });
      await user?.remove();
    });

    it("reaches the collector on the node, whole, with the client pod's own IP, and no other collector", async () => {
      const applications = await pods("application");
      expect(applications).toHaveLength(theCluster().nodes.length);
      await expect.poll(receivedByNode, patience).toEqual(expectedOf(applications));
    });

    const kubectl = (command: string) => theCluster().kubectl(command.split(" "));

    async function apply(items: unknown[]): Promise<void> {
      const input = JSON.stringify({ apiVersion: "v1", kind: "List", items });
      await theCluster().kubectl(["apply", "-f", "-"], { input });
    }

    async function pods(app: string): Promise<Pod[]> {
      const list = await kubectl(`get pods -n ${namespace} -l app=${app} -o json`);
      return (JSON.parse(list) as { items: Pod[] }).items;
    }

    async function receivedByNode(): Promise<Record<string, Received>> {
      const read = async ({ metadata, spec }: Pod) => {
        const log = await kubectl(`logs -n ${namespace} ${metadata.name}`);
        return [spec.nodeName, received(log)] as const;
      };
      return Object.fromEntries(await Promise.all((await pods("collector")).map(read)));
    }
  });
}

type Package = typeof magicIpAddress;

/** The packed package, as a program in an empty directory with it among its node_modules gets it. */
function packageOf({ directory }: Consumer): Package {
  return createRequire(join(directory, "index.js"))(packageJson.name) as Package;
}

/** What a user would write: the application's environment comes from the magic IP, and the application after it. */
function program({ Client, MagicIpAddress }: Package, image: string) {
  const magicIp = new MagicIpAddress("collector", {
    ipAddress: "169.254.210.214",
    namespace,
    selector: "app=collector",
    ports: [
      { name: "zipkin", port: 9411 },
      { name: "dogstatsd", port: 8125, protocol: "UDP" },
    ],
    agent: { image },
  });
  const environment = pulumi.all([magicIp.env(Client.Datadog), magicIp.env(Client.Zipkin)]);
  new kubernetes.apps.v1.DaemonSet(
    "application",
    {
      metadata: { name: "application", namespace },
      spec: environment.apply((variables) => application(variables.flat(), orders)),
    },
    { dependsOn: magicIp },
  );
  return { environments: magicIp.environments };
}

/** Each node's application, and nobody else: what was sent, once, from the pod's own IP. */
function expectedOf(applications: Pod[]): Record<string, Received> {
  return Object.fromEntries(
    applications.map(({ metadata, spec, status }) => [
      spec.nodeName,
      { [`${metadata.name} at ${status.podIP}`]: { "span order": orders, "metric orders": orders } },
    ]),
  );
}
