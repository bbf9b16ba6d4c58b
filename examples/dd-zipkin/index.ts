import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { Client, MagicIpAddress } from "magic-ip-address";

const config = new pulumi.Config();
const targets = { app: "dd-zipkin" };

// The target: on every node an OpenTelemetry collector, which takes Zipkin spans and gives them to Datadog.
const namespace = new k8s.core.v1.Namespace("tracing", { metadata: { name: "tracing" } }).metadata.name;
const secret = new k8s.core.v1.Secret("datadog", {
  metadata: { namespace, name: "datadog" },
  stringData: { "api-key": config.requireSecret("apiKey") },
});
const collectorConfig = new k8s.core.v1.ConfigMap("dd-zipkin", {
  metadata: { namespace },
  data: { "collector.yaml": readFileSync(join(__dirname, "collector.yaml"), "utf8") },
});
const collectors = new k8s.apps.v1.DaemonSet("dd-zipkin", {
  metadata: { namespace, name: "dd-zipkin" },
  spec: {
    selector: { matchLabels: targets },
    template: {
      metadata: { labels: targets },
      spec: {
        containers: [
          {
            name: "collector",
            image: "otel/opentelemetry-collector-contrib:0.158.0",
            args: ["--config=/config/collector.yaml"],
            env: [
              {
                name: "DD_API_KEY",
                valueFrom: { secretKeyRef: { name: secret.metadata.name, key: "api-key" } },
              },
              { name: "DD_SITE", value: config.get("site") ?? "datadoghq.com" },
              { name: "NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
            ],
            ports: [{ name: "zipkin", containerPort: 9411 }],
            // Only a pod that is ready gets what clients send.
            readinessProbe: { httpGet: { path: "/", port: 13133 }, periodSeconds: 5 },
            resources: { requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "512Mi" } },
            volumeMounts: [{ name: "config", mountPath: "/config" }],
          },
        ],
        volumes: [{ name: "config", configMap: { name: collectorConfig.metadata.name } }],
      },
    },
  },
});

// Every node gets 169.254.210.210, and there it is the collector pod of that node.
const magicIp = new MagicIpAddress("dd-zipkin-ip", {
  ipAddress: "169.254.210.210",
  namespace,
  selector: "app=dd-zipkin",
  ports: [{ name: "zipkin", port: 9411 }],
  agent: { image: config.get("image") },
});

// The application: it needs no node name, no node IP and no DNS name to find its collector.
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
              env: magicIp.env(Client.Zipkin),
              volumeMounts: [{ name: "program", mountPath: "/app" }],
            },
          ],
          volumes: [{ name: "program", configMap: { name: program.metadata.name } }],
        },
      },
    },
  },
  { dependsOn: [magicIp, collectors] },
);

export const { endpoints, environments } = magicIp;
