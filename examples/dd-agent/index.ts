import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { Client, MagicIpAddress } from "magic-ip-address";

const config = new pulumi.Config();
const targets = { app: "datadog" };

// The target: a Datadog agent on every node. No hostPort, no hostNetwork.
const namespace = new k8s.core.v1.Namespace("datadog", { metadata: { name: "datadog" } }).metadata.name;
const secret = new k8s.core.v1.Secret("datadog", {
  metadata: { namespace, name: "datadog" },
  stringData: { "api-key": config.requireSecret("apiKey") },
});
// The agent asks its node's kubelet which pods there are, for the tags of what they send.
const account = new k8s.core.v1.ServiceAccount("datadog", { metadata: { namespace, name: "datadog" } });
const kubelet = new k8s.rbac.v1.ClusterRole("datadog-kubelet", {
  rules: [
    {
      apiGroups: [""],
      resources: ["nodes/metrics", "nodes/spec", "nodes/proxy", "nodes/stats"],
      verbs: ["get"],
    },
  ],
});
new k8s.rbac.v1.ClusterRoleBinding("datadog-kubelet", {
  roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: kubelet.metadata.name },
  subjects: [{ kind: "ServiceAccount", namespace, name: account.metadata.name }],
});
const agents = new k8s.apps.v1.DaemonSet("datadog", {
  metadata: { namespace, name: "datadog" },
  spec: {
    selector: { matchLabels: targets },
    template: {
      metadata: { labels: targets },
      spec: {
        serviceAccountName: account.metadata.name,
        containers: [
          {
            name: "agent",
            image: "gcr.io/datadoghq/agent:7.81.1",
            env: [
              {
                name: "DD_API_KEY",
                valueFrom: { secretKeyRef: { name: secret.metadata.name, key: "api-key" } },
              },
              { name: "DD_SITE", value: config.get("site") ?? "datadoghq.com" },
              // Without these two it listens to its own pod only.
              { name: "DD_APM_NON_LOCAL_TRAFFIC", value: "true" },
              { name: "DD_DOGSTATSD_NON_LOCAL_TRAFFIC", value: "true" },
              {
                name: "DD_KUBERNETES_KUBELET_HOST",
                valueFrom: { fieldRef: { fieldPath: "status.hostIP" } },
              },
              { name: "DD_HOSTNAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
              { name: "DD_HEALTH_PORT", value: "5555" },
            ],
            ports: [
              { name: "traceport", containerPort: 8126 },
              { name: "dogstatsdport", containerPort: 8125, protocol: "UDP" },
            ],
            // Only a pod that is ready gets what clients send.
            readinessProbe: { httpGet: { path: "/ready", port: 5555 }, periodSeconds: 5 },
            resources: { requests: { cpu: "50m", memory: "256Mi" }, limits: { memory: "512Mi" } },
          },
        ],
      },
    },
  },
});

// Every node gets 169.254.210.210, and there it is the Datadog agent pod of that node.
const magicIp = new MagicIpAddress("dd-agent-ip", {
  ipAddress: "169.254.210.210",
  namespace,
  selector: "app=datadog",
  ports: [
    { name: "apm", port: 8126, targetPortName: "traceport" },
    { name: "dogstatsd", port: 8125, targetPortName: "dogstatsdport", protocol: "UDP" },
  ],
  agent: { image: config.get("image") },
});

// The application: it needs no node name, no node IP and no DNS name to find its agent.
const program = new k8s.core.v1.ConfigMap("shop", {
  data: { "application.mjs": readFileSync(join(__dirname, "application.mjs"), "utf8") },
});
new k8s.apps.v1.Deployment(
  "shop",
  {
    spec: {
      replicas: 3,
      selector: { matchLabels: { app: "shop" } },
      template: {
        metadata: { labels: { app: "shop" } },
        spec: {
          containers: [
            {
              name: "shop",
              image: "node:24.19.0-alpine",
              command: ["node", "/app/application.mjs"],
              env: magicIp.env(Client.Datadog).apply((variables) => [
                ...variables,
                // DogStatsD packets have no room for the sender's pod: by its UID the agent finds the pod's tags.
                { name: "DD_ENTITY_ID", valueFrom: { fieldRef: { fieldPath: "metadata.uid" } } },
              ]),
              volumeMounts: [{ name: "program", mountPath: "/app" }],
            },
          ],
          volumes: [{ name: "program", configMap: { name: program.metadata.name } }],
        },
      },
    },
  },
  { dependsOn: [magicIp, agents] },
);

export const { endpoints, environments } = magicIp;
