import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { metricsText } from "../../agent/status/metrics.ts";
import { Status } from "../../agent/status/status.ts";
import { configText, oneAddress, only, render } from "./render.ts";

const withValues = (others: object, namespace?: string) =>
  render({ values: oneAddress({}, others), ...(namespace === undefined ? {} : { namespace }) });

describe("the metrics port", () => {
  it("is a port of the pod, and in the agent's configuration", async () => {
    const manifests = await withValues({ metricsPort: 9091 });
    const [container] = only(manifests, "DaemonSet").spec.template.spec.containers;
    expect(container.ports.slice(1)).toEqual([{ name: "metrics", containerPort: 9091, protocol: "TCP" }]);
    expect(parse(configText(manifests)).metricsPort).toBe(9091);
  });

  it("is none unless it is set", async () => {
    const manifests = await withValues({});
    expect(only(manifests, "DaemonSet").spec.template.spec.containers[0].ports).toHaveLength(1);
    expect(parse(configText(manifests))).not.toHaveProperty("metricsPort");
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
        port: daemonSet.template.spec.containers[0].ports[1].name,
        interval: "15s",
        relabelings: [{ sourceLabels: ["__meta_kubernetes_pod_node_name"], targetLabel: "node" }],
      },
    ]);
  });
});

describe("the dashboard", () => {
  const files = async (release: object = {}, others: object = {}): Promise<[string, string][]> => {
    const values = oneAddress({}, { grafanaDashboard: { enabled: true }, ...others });
    const found = (await render({ values, ...release })).filter(({ metadata }) =>
      metadata.name.endsWith("-dashboard"),
    );
    expect(found.map(({ metadata }) => metadata.labels)).toMatchObject([{ grafana_dashboard: "1" }]);
    return Object.entries(found[0]?.data as Record<string, string>);
  };
  const json = async (...args: Parameters<typeof files>) => JSON.parse((await files(...args))[0]?.[1] ?? "");

  it("is another one for each release, by uid, title and file, and the same after an upgrade", async () => {
    const releases = [{}, { name: "other" }, { namespace: "left" }];
    const [mine, ...others] = await Promise.all(releases.map((release) => json(release)));
    const names = await Promise.all(releases.map(async (release) => (await files(release))[0]?.[0]));
    expect(new Set([mine, ...others].map(({ uid }) => uid)).size).toBe(3);
    expect(new Set([mine, ...others].map(({ title }) => title)).size).toBe(3);
    expect(new Set(names).size).toBe(3);
    expect(mine.uid).toMatch(/^[a-z0-9-]{10,40}$/);
    const upgraded = await json({}, { verbose: true, podLabels: { a: "b" }, fullnameOverride: "renamed" });
    expect([upgraded.uid, upgraded.title]).toEqual([mine.uid, "Magic IP addresses of kube-system.mip"]);
  });

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
});
