import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

// Only a pod that is ready gets what clients send: hence a readiness probe in each.

/** A Datadog agent on every node, its pods labelled `app=datadog`. The example dd-agent says more about it. */
export function runDatadogAgents(
  namespace: pulumi.Input<string>,
  account: { apiKey: pulumi.Input<string>; site: string },
) {
  const secret = new k8s.core.v1.Secret("datadog", {
    metadata: { namespace, name: "datadog" },
    stringData: { "api-key": account.apiKey },
  });
  return runOnEveryNode("datadog", namespace, {
    containers: [
      {
        name: "agent",
        image: "gcr.io/datadoghq/agent:7.81.1",
        env: [
          {
            name: "DD_API_KEY",
            valueFrom: { secretKeyRef: { name: secret.metadata.name, key: "api-key" } },
          },
          { name: "DD_SITE", value: account.site },
          // Without these two it listens to its own pod only.
          { name: "DD_APM_NON_LOCAL_TRAFFIC", value: "true" },
          { name: "DD_DOGSTATSD_NON_LOCAL_TRAFFIC", value: "true" },
          { name: "DD_HOSTNAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
          { name: "DD_HEALTH_PORT", value: "5555" },
        ],
        ports: [
          { name: "traceport", containerPort: 8126 },
          { name: "dogstatsdport", containerPort: 8125, protocol: "UDP" },
        ],
        readinessProbe: { httpGet: { path: "/ready", port: 5555 }, periodSeconds: 5 },
        resources: { requests: { cpu: "50m", memory: "256Mi" }, limits: { memory: "512Mi" } },
      },
    ],
  });
}

/** An OpenTelemetry collector on every node, its pods labelled `app=otel-collector`. */
export function runCollectors(namespace: pulumi.Input<string>) {
  const config = new k8s.core.v1.ConfigMap("otel-collector", {
    metadata: { namespace },
    data: { "collector.yaml": readFileSync(join(__dirname, "collector.yaml"), "utf8") },
  });
  return runOnEveryNode("otel-collector", namespace, {
    containers: [
      {
        name: "collector",
        image: "otel/opentelemetry-collector-contrib:0.158.0",
        args: ["--config=/config/collector.yaml"],
        ports: [
          { name: "otlp-grpc", containerPort: 4317 },
          { name: "zipkin", containerPort: 9411 },
        ],
        readinessProbe: { httpGet: { path: "/", port: 13133 }, periodSeconds: 5 },
        resources: { requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "512Mi" } },
        volumeMounts: [{ name: "config", mountPath: "/config" }],
      },
    ],
    volumes: [{ name: "config", configMap: { name: config.metadata.name } }],
  });
}

function runOnEveryNode(
  name: string,
  namespace: pulumi.Input<string>,
  spec: k8s.types.input.core.v1.PodSpec,
) {
  const template = { metadata: { labels: { app: name } }, spec };
  return new k8s.apps.v1.DaemonSet(name, {
    metadata: { namespace, name },
    spec: { selector: { matchLabels: { app: name } }, template },
  });
}
