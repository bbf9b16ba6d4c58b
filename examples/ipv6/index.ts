import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { Client, MagicIpAddress } from "magic-ip-address";

const config = new pulumi.Config();
const targets = { app: "otel-collector" };
const ipv6Address = "fd00:210::210";

// The target: an OpenTelemetry collector on every node, which listens on both addresses of its pod.
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
            ports: [{ name: "otlp-grpc", containerPort: 4317 }],
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

// Every node gets both addresses, and there each is the collector pod of that node, by its pod IP of the same family.
const magicIp = new MagicIpAddress("otel-collector-ip", {
  ipAddress: "169.254.210.210",
  ipv6Address,
  namespace,
  selector: "app=otel-collector",
  ports: [{ name: "otlp-grpc", port: 4317 }],
  agent: { image: config.get("image") },
});

/** The application: its OpenTelemetry SDK reads the environment; every probe of the kubelet makes it send a span. */
function shop(name: string, env: pulumi.Input<k8s.types.input.core.v1.EnvVar[]>) {
  const podinfo = {
    name: "shop",
    image: "ghcr.io/stefanprodan/podinfo:6.14.1",
    command: ["./podinfo", "--port=9898", `--otel-service-name=${name}`],
    env,
    ports: [{ name: "http", containerPort: 9898 }],
    readinessProbe: { httpGet: { path: "/readyz", port: "http" }, periodSeconds: 5 },
  };
  const template = { metadata: { labels: { app: name } }, spec: { containers: [podinfo] } };
  const spec = { selector: { matchLabels: { app: name } }, template };
  return new k8s.apps.v1.Deployment(name, { spec }, { dependsOn: [magicIp, collectors] });
}

// The ready environment has the address in ipAddress; that of the other family is put together by hand.
const overIpv6 = magicIp.endpoints.apply((all) => `http://${all[`[${ipv6Address}]:4317`]}`);
shop("shop-ipv4", magicIp.env(Client.OpenTelemetry));
shop(
  "shop-ipv6",
  pulumi.output([
    { name: "OTEL_EXPORTER_OTLP_ENDPOINT", value: overIpv6 },
    { name: "OTEL_EXPORTER_OTLP_PROTOCOL", value: "grpc" },
  ]),
);

export const { endpoints, environments } = magicIp;
