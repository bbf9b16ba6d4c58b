import { readFileSync } from "node:fs";

const source = (name: string) => readFileSync(new URL(`../clients/${name}`, import.meta.url), "utf8");

/** Any Kubernetes object, as it is sent to the API server. */
export type Manifest = Record<string, unknown>;

/** A namespace with the echo and client programs in a ConfigMap: the image then only has to have Node.js. */
export function programs(namespace: string): Manifest[] {
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "programs", namespace },
      data: { "echo.mjs": source("echo.mjs"), "call.mjs": source("call.mjs") },
    },
  ];
}

export interface EchoOptions {
  namespace: string;
  /** Name of the DaemonSet and value of its `app` label. */
  name: string;
  image: string;
  /** Where it listens, over HTTP and UDP; its container port is named `echo`. Default: 8080. */
  port?: number;
  /** Changes the pod template, and so rolls the DaemonSet. */
  revision?: string;
  /** Start new pods before old ones end, which then drain for that many seconds. */
  drainSeconds?: number;
}

/** A target on every node that answers with its pod's name, node and uid. */
export function echoDaemonSet({
  namespace,
  name,
  image,
  port = 8080,
  revision = "1",
  drainSeconds,
}: EchoOptions): Manifest {
  const surge = drainSeconds !== undefined;
  const env = [
    { name: "PORT", value: String(port) },
    { name: "DRAIN_SECONDS", value: String(drainSeconds ?? 0) },
    ...["POD=metadata.name", "NODE=spec.nodeName", "POD_UID=metadata.uid"].map(fieldVariable),
  ];
  const container = {
    ...nodeContainer("echo", image, ["/programs/echo.mjs"]),
    env,
    ports: ["TCP", "UDP"].map((protocol) => ({
      containerPort: port,
      protocol,
      name: `echo-${protocol.toLowerCase()}`,
    })),
    readinessProbe: { httpGet: { port, path: "/" }, periodSeconds: 1 },
    // Without, it would answer when every other test leaves it a processor.
    resources: { requests: { cpu: "100m" } },
  };
  const rollingUpdate = surge ? { maxSurge: 1, maxUnavailable: 0 } : { maxSurge: 0, maxUnavailable: 1 };
  return daemonSet(namespace, name, { revision }, container, { type: "RollingUpdate", rollingUpdate });
}

/** A client on every node that waits for somebody to call from it. */
export function clientDaemonSet(namespace: string, image: string): Manifest {
  const wait = 'process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 60000)';
  return daemonSet(namespace, "client", {}, nodeContainer("client", image, ["-e", wait]), {
    type: "RollingUpdate",
  });
}

function daemonSet(
  namespace: string,
  name: string,
  annotations: Record<string, string>,
  container: Manifest,
  updateStrategy: Manifest,
): Manifest {
  const labels = { app: name };
  return {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: { name, namespace, labels },
    spec: {
      selector: { matchLabels: labels },
      updateStrategy,
      template: {
        metadata: { labels, annotations },
        spec: {
          automountServiceAccountToken: false,
          tolerations: [{ operator: "Exists" }],
          containers: [container],
          volumes: [{ name: "programs", configMap: { name: "programs" } }],
        },
      },
    },
  };
}

function nodeContainer(name: string, image: string, args: string[]): Manifest {
  return {
    name,
    image,
    imagePullPolicy: "IfNotPresent",
    command: ["node", ...args],
    volumeMounts: [{ name: "programs", mountPath: "/programs" }],
  };
}

function fieldVariable(assignment: string): Manifest {
  const [name, fieldPath] = assignment.split("=");
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}
