import type { types } from "@pulumi/kubernetes";
import type { Manifest } from "../cluster/workloads.ts";
import { BASE_IMAGE } from "../support/rootfs.ts";
import { bundledApplication } from "./application.ts";
import { COLLECTOR_IMAGE, collectorConfiguration } from "./collector.ts";

/** One variable of a container's environment. */
type Variable = types.input.core.v1.EnvVar;

/** The namespace and its files, and a collector on every node: what there is before a magic IP leads to it. */
export async function collectors(namespace: string): Promise<Manifest[]> {
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    files(namespace, "collector", { "config.yaml": await collectorConfiguration() }),
    files(namespace, "application", { "application.mjs": await bundledApplication() }),
    {
      apiVersion: "apps/v1",
      kind: "DaemonSet",
      metadata: { name: "collector", namespace },
      spec: onEveryNode({
        name: "collector",
        image: COLLECTOR_IMAGE,
        imagePullPolicy: "IfNotPresent",
        command: ["/collector", "--config=/files/config.yaml"],
        readinessProbe: { tcpSocket: { port: 9411 }, periodSeconds: 1 },
      }),
    },
  ];
}

/** An application on every node that sends `orders` spans and counts to where its environment says. */
export function application(environment: Variable[], orders: number): types.input.apps.v1.DaemonSetSpec {
  return onEveryNode({
    name: "application",
    image: BASE_IMAGE,
    imagePullPolicy: "IfNotPresent",
    command: ["node", "/files/application.mjs"],
    env: [
      ...environment,
      { name: "POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
      { name: "ORDERS", value: String(orders) },
    ],
  });
}

function files(namespace: string, name: string, data: Record<string, string>): Manifest {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data };
}

/** The container finds the files of the ConfigMap with its name in `/files`. */
function onEveryNode(container: types.input.core.v1.Container & { name: string }) {
  const { name } = container;
  const labels = { app: name };
  return {
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: {
        automountServiceAccountToken: false,
        tolerations: [{ operator: "Exists" }],
        containers: [{ ...container, volumeMounts: [{ name: "files", mountPath: "/files" }] }],
        volumes: [{ name: "files", configMap: { name } }],
      },
    },
  };
}
