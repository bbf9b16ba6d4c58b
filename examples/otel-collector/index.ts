import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { Client, MagicIpAddress } from "magic-ip-address";

const config = new pulumi.Config();
const targets = { app: "otel-collector" };

// The target: an OpenTelemetry collector on every node.
const namespace = new k8s.core.v1.Namespace("telemetry", { metadata: { name: "telemetry" } }).metadata.name;
const collectorConfig = new k8s.core.v1.ConfigMap("otel-collector", {
  metadata: { namespace },
  data: { "collector.yaml": readFileSync(join(__dirname, "collector.yaml"), "utf8") },
});
const collectors = new k8s.apps.v1.DaemonSet("otel-collector", {
  metadata: { namespace, name: "otel-collector" },
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
            ports: [
              { name: "otlp-grpc", containerPort: 4317 },
              { name: "otlp-http", containerPort: 4318 },
            ],
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
const magicIp = new MagicIpAddress("otel-collector-ip", {
  ipAddress: "169.254.210.210",
  namespace,
  selector: "app=otel-collector",
  ports: [
    { name: "otlp-grpc", port: 4317 },
    { name: "otlp-http", port: 4318 },
  ],
  agent: { image: config.get("image") },
});

// The application: its OpenTelemetry SDK reads the environment; every probe of the kubelet makes it send a span.
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
              image: "ghcr.io/stefanprodan/podinfo:6.14.1",
              command: ["./podinfo", "--port=9898", "--otel-service-name=shop"],
              env: magicIp.env(Client.OpenTelemetry),
              ports: [{ name: "http", containerPort: 9898 }],
              readinessProbe: { httpGet: { path: "/readyz", port: "http" }, periodSeconds: 5 },
            },
          ],
        },
      },
    },
  },
  { dependsOn: [magicIp, collectors] },
);

export const { endpoints, environments } = magicIp;
