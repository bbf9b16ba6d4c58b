import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { Client, MagicIpAddress } from "magic-ip-address";

const config = new pulumi.Config();
const targets = { app: "zipkin-gcp" };

// The target: on every node a Zipkin server that writes what it gets to Google Cloud Trace.
const namespace = new k8s.core.v1.Namespace("tracing", { metadata: { name: "tracing" } }).metadata.name;
const credentials = new k8s.core.v1.Secret("zipkin-gcp", {
  metadata: { namespace, name: "zipkin-gcp" },
  stringData: { "credentials.json": config.requireSecret("gcpCredentials") },
});
const servers = new k8s.apps.v1.DaemonSet("zipkin-gcp", {
  metadata: { namespace, name: "zipkin-gcp" },
  spec: {
    selector: { matchLabels: targets },
    template: {
      metadata: { labels: targets },
      spec: {
        containers: [
          {
            name: "zipkin",
            image: "ghcr.io/openzipkin/zipkin-gcp:2.3.1",
            env: [
              { name: "STORAGE_TYPE", value: "stackdriver" },
              { name: "STACKDRIVER_PROJECT_ID", value: config.require("gcpProject") },
              { name: "GOOGLE_APPLICATION_CREDENTIALS", value: "/credentials/credentials.json" },
            ],
            ports: [{ name: "zipkin", containerPort: 9411 }],
            // Only a pod that is ready gets what clients send.
            readinessProbe: { httpGet: { path: "/health", port: 9411 }, periodSeconds: 5 },
            resources: { requests: { cpu: "100m", memory: "512Mi" }, limits: { memory: "1Gi" } },
            volumeMounts: [{ name: "credentials", mountPath: "/credentials", readOnly: true }],
          },
        ],
        volumes: [{ name: "credentials", secret: { secretName: credentials.metadata.name } }],
      },
    },
  },
});

// Every node gets 169.254.210.210, and there it is the Zipkin pod of that node.
const magicIp = new MagicIpAddress("zipkin-gcp-ip", {
  ipAddress: "169.254.210.210",
  namespace,
  selector: "app=zipkin-gcp",
  ports: [{ name: "zipkin", port: 9411 }],
  agent: { image: config.get("image") },
});

// The application: it needs no node name, no node IP and no DNS name to find its Zipkin.
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
  { dependsOn: [magicIp, servers] },
);

export const { endpoints, environments } = magicIp;
