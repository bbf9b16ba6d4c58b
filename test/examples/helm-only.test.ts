import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { only, render } from "../chart/render.ts";
import { promisedEnvironments, readObjects, readYaml } from "./example.ts";
import { astray, targetOf } from "./targets.ts";

describe("the example without Pulumi", async () => {
  const values = await readYaml("helm-only", "values.yaml");
  const target = await readObjects("helm-only", "target.yaml");
  const [application] = await readObjects("helm-only", "application.yaml");

  it("gives the chart values that it takes", async () => {
    const manifests = await render({ values, name: "otel-collector-ip", namespace: "kube-system" });
    expect(only(manifests, "DaemonSet").metadata.name).toBe("otel-collector-ip");
    const roles = manifests.filter(({ kind }) => kind === "Role").map(({ metadata }) => metadata.namespace);
    expect(roles).toContain("telemetry");
  });

  it("leads its address to its target", () => {
    const set = target.find(({ kind }) => kind === "DaemonSet");
    expect(
      values.addresses.flatMap((address: Parameters<typeof astray>[0]) => astray(address, [targetOf(set)])),
    ).toEqual([]);
    expect(set.spec.selector.matchLabels).toEqual(set.spec.template.metadata.labels);
  });

  const config = target.find(({ kind }) => kind === "ConfigMap").data["collector.yaml"];

  it("has a collector that takes what podinfo sends, traces and logs", () => {
    const { pipelines } = parse(config).service;
    expect(pipelines.traces.receivers).toEqual(["otlp"]);
    expect(pipelines.logs?.receivers).toEqual(["otlp"]);
  });

  it("has a collector that listens where its ports say", () => {
    for (const { port } of values.addresses[0].ports) expect(config).toContain(`endpoint: 0.0.0.0:${port}`);
  });

  it("tells its application what its README says", async () => {
    const { env } = application.spec.template.spec.containers[0];
    const told = env.map(({ name, value }: { name: string; value: string }) => [name, value]);
    expect([told]).toEqual(await promisedEnvironments("helm-only"));
  });
});
