import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { metricsText } from "../../agent/metrics.ts";
import { Status } from "../../agent/status.ts";
import { configText, oneAddress, only, render } from "./render.ts";

const withValues = (others: object, namespace?: string) =>
  render({ values: oneAddress({}, others), ...(namespace === undefined ? {} : { namespace }) });

describe("the metrics port", () => {
  it("is a port of the pod, and in the agent's configuration", async () => {
    const manifests = await withValues({ metricsPort: 9091 });
    const [container] = only(manifests, "DaemonSet").spec.template.spec.containers;
    expect(container.ports).toEqual([{ name: "metrics", containerPort: 9091, protocol: "TCP" }]);
    expect(parse(configText(manifests)).metricsPort).toBe(9091);
  });

  it("is none unless it is set", async () => {
    const manifests = await withValues({});
    expect(only(manifests, "DaemonSet").spec.template.spec.containers[0].ports).toBeUndefined();
    expect(parse(configText(manifests))).not.toHaveProperty("metricsPort");
  });

  it("is another than the health port", async () => {
    await expect(withValues({ metricsPort: 61500, healthPort: 61500 })).rejects.toThrow(
      "metricsPort: 61500 is the healthPort: choose another",
    );
  });
});

describe("the PodMonitor", () => {
  const podMonitor = { enabled: true, interval: "15s", labels: { release: "prometheus" } };

  it("selects the agents and scrapes the port by its name", async () => {
    const manifests = await withValues({ metricsPort: 9091, podMonitor });
    const { metadata, spec } = only(manifests, "PodMonitor");
    const daemonSet = only(manifests, "DaemonSet").spec;
    expect(metadata.labels.release).toBe("prometheus");
    expect(spec.selector.matchLabels).toEqual(daemonSet.selector.matchLabels);
    expect(spec.podMetricsEndpoints).toEqual([
      {
        port: daemonSet.template.spec.containers[0].ports[0].name,
        interval: "15s",
        relabelings: [{ sourceLabels: ["__meta_kubernetes_pod_node_name"], targetLabel: "node" }],
      },
    ]);
  });

  it("asks for the port that it needs", async () => {
    await expect(withValues({ podMonitor })).rejects.toThrow(
      "podMonitor.enabled: Prometheus cannot reach the agents on their loopback: set metricsPort too, as 9091",
    );
  });
});

describe("the dashboard", () => {
  const json = async () => {
    const manifests = await withValues({ grafanaDashboard: { enabled: true } });
    const configMap = only(manifests, "ConfigMap", "mip-magic-ip-address-dashboard");
    expect(configMap.metadata.labels).toMatchObject({ grafana_dashboard: "1" });
    return JSON.parse(configMap.data["magic-ip-address.json"]);
  };

  it("shows every metric that the agent has, and no other", async () => {
    const { panels } = await json();
    const shown = new Set<string>(JSON.stringify(panels).match(/magic_ip_\w+/g));
    const lines = metricsText(new Status().report(), []).matchAll(/^# TYPE (\w+) (\w+)$/gm);
    const had = [...lines].flatMap(([, name, type]) =>
      type === "summary" ? [`${name}_sum`, `${name}_count`] : [name],
    );
    expect([...shown].sort()).toEqual(had.sort());
  });

  it("asks the data source, the job and the nodes that are chosen above it", async () => {
    const { panels, templating } = await json();
    expect(templating.list.map(({ name }: { name: string }) => name)).toEqual(["datasource", "job", "node"]);
    for (const { datasource, targets } of panels) {
      expect(datasource).toEqual({ type: "prometheus", uid: "${datasource}" });
      for (const { expr } of targets) {
        const all = expr.match(/magic_ip_\w+/g).length;
        expect(expr.match(/magic_ip_\w+\{job=~"\$job",node=~"\$node"\}/g)).toHaveLength(all);
      }
    }
  });
});

describe("the ResourceQuota", () => {
  const resourceQuota = { enabled: true };

  it("lets the agents' priority class into a namespace other than kube-system, before the DaemonSet", async () => {
    const manifests = await withValues({ resourceQuota }, "observability");
    expect(only(manifests, "ResourceQuota").spec).toEqual({
      hard: { pods: "10k" },
      scopeSelector: {
        matchExpressions: [{ operator: "In", scopeName: "PriorityClass", values: ["system-node-critical"] }],
      },
    });
    const { annotations } = only(manifests, "DaemonSet").metadata;
    expect(annotations?.["config.kubernetes.io/depends-on"]).toContain(
      "/namespaces/observability/ResourceQuota/mip-magic-ip-address",
    );
  });

  it("is not there in kube-system, whose other pods it would count, nor unless asked for", async () => {
    const kinds = async (...args: Parameters<typeof withValues>) =>
      (await withValues(...args)).map(({ kind }) => kind);
    expect(await kinds({ resourceQuota })).not.toContain("ResourceQuota");
    expect(await kinds({}, "observability")).not.toContain("ResourceQuota");
  });

  it("needs a class to be for", async () => {
    await expect(withValues({ resourceQuota, priorityClassName: "" }, "observability")).rejects.toThrow(
      "resourceQuota.enabled: there is no priorityClassName that it could be for: set one, as system-node-critical",
    );
  });
});
