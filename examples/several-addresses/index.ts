import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { Client, MagicIpAddresses } from "magic-ip-address";
import { runCollectors, runDatadogAgents } from "./targets";

const config = new pulumi.Config();
const account = { apiKey: config.requireSecret("apiKey"), site: config.get("site") ?? "datadoghq.com" };
const namespace = new k8s.core.v1.Namespace("telemetry", { metadata: { name: "telemetry" } }).metadata.name;
const targets = [runDatadogAgents(namespace, account), runCollectors(namespace)];

// One agent a node serves them all. An address each, so that a target can change without its neighbours; the second and
// the third lead to the same pods.
const magicIps = new MagicIpAddresses("telemetry-ips", {
  addresses: [
    {
      ipAddress: "169.254.210.210",
      namespace,
      selector: "app=datadog",
      ports: [
        { name: "apm", port: 8126, targetPortName: "traceport" },
        { name: "dogstatsd", port: 8125, targetPortName: "dogstatsdport", protocol: "UDP" },
      ],
    },
    {
      ipAddress: "169.254.210.211",
      namespace,
      selector: "app=otel-collector",
      ports: [{ name: "otlp-grpc", port: 4317 }],
    },
    {
      ipAddress: "169.254.210.212",
      namespace,
      selector: "app=otel-collector",
      ports: [{ name: "zipkin", port: 9411 }],
    },
  ],
  agent: { image: config.get("image") },
});

// The application knows all of them; of these podinfo uses OpenTelemetry's, and sends a span for each probe of the kubelet.
const environment = pulumi
  .all([Client.Datadog, Client.OpenTelemetry, Client.Zipkin].map((client) => magicIps.env(client)))
  .apply((variables) => variables.flat());
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
              env: environment,
              ports: [{ name: "http", containerPort: 9898 }],
              readinessProbe: { httpGet: { path: "/readyz", port: "http" }, periodSeconds: 5 },
            },
          ],
        },
      },
    },
  },
  { dependsOn: [magicIps, ...targets] },
);

export const { endpoints, environments } = magicIps;
