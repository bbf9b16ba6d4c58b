import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { Client, MagicIpAddress } from "magic-ip-address";

const config = new pulumi.Config();
const targets = { app: "apm-server" };

// The target: on every node an APM Server, which writes to your Elasticsearch.
const namespace = new k8s.core.v1.Namespace("elastic", { metadata: { name: "elastic" } }).metadata.name;
const secret = new k8s.core.v1.Secret("apm-server", {
  metadata: { namespace, name: "apm-server" },
  stringData: { "api-key": config.requireSecret("elasticsearchApiKey") },
});
const serverConfig = new k8s.core.v1.ConfigMap("apm-server", {
  metadata: { namespace },
  data: { "apm-server.yml": readFileSync(join(__dirname, "apm-server.yml"), "utf8") },
});
const servers = new k8s.apps.v1.DaemonSet("apm-server", {
  metadata: { namespace, name: "apm-server" },
  spec: {
    selector: { matchLabels: targets },
    template: {
      metadata: { labels: targets },
      spec: {
        containers: [
          {
            name: "apm-server",
            image: "docker.elastic.co/apm/apm-server:9.5.2",
            args: ["-c", "/config/apm-server.yml"],
            env: [
              { name: "ELASTICSEARCH_URL", value: config.require("elasticsearchUrl") },
              {
                name: "ELASTICSEARCH_API_KEY",
                valueFrom: { secretKeyRef: { name: secret.metadata.name, key: "api-key" } },
              },
            ],
            ports: [{ name: "apm-server", containerPort: 8200 }],
            // Only a pod that is ready gets what clients send.
            readinessProbe: { httpGet: { path: "/", port: 8200 }, periodSeconds: 5 },
            resources: { requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "512Mi" } },
            volumeMounts: [{ name: "config", mountPath: "/config" }],
          },
        ],
        volumes: [{ name: "config", configMap: { name: serverConfig.metadata.name } }],
      },
    },
  },
});

// Every node gets 169.254.210.210, and there it is the APM Server pod of that node.
const magicIp = new MagicIpAddress("apm-server-ip", {
  ipAddress: "169.254.210.210",
  namespace,
  selector: "app=apm-server",
  ports: [{ name: "apm-server", port: 8200 }],
  agent: { image: config.get("image") },
});

// The application: it needs no node name, no node IP and no DNS name to find its APM Server.
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
              env: magicIp.env(Client.ElasticApm),
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
