import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { MagicIpAddress } from "magic-ip-address";

const config = new pulumi.Config();

// Every node gets 169.254.210.210, and there it is the Datadog agent pod of that node.
const datadog = new MagicIpAddress("dd-agent", {
  ipAddress: "169.254.210.210",
  namespace: "datadog",
  selector: "app=datadog",
  ports: [
    { name: "apm", port: 8126 },
    { name: "dogstatsd", port: 8125, protocol: "UDP" },
  ],
  agent: { image: config.get("image") },
});

// An application needs no hostPort, no hostNetwork, no downward API and no DNS name to find it.
const labels = { app: "shop" };
new k8s.apps.v1.Deployment(
  "shop",
  {
    spec: {
      replicas: 3,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          containers: [
            {
              name: "shop",
              image: "nginx:stable",
              env: [
                { name: "DD_AGENT_HOST", value: datadog.ipAddress },
                { name: "DD_TRACE_AGENT_URL", value: pulumi.interpolate`http://${datadog.endpoint}` },
                { name: "DD_DOGSTATSD_URL", value: pulumi.interpolate`udp://${datadog.ipAddress}:8125` },
              ],
            },
          ],
        },
      },
    },
  },
  { dependsOn: datadog },
);

export const endpoint = datadog.endpoint;
