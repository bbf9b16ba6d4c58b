import { globSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { explainedValues } from "../generate/values-comments.ts";
import { chart, chartFaults, oneAddress, only, render, renderText } from "./render.ts";
import { umbrella } from "./umbrella.ts";

const valuesYaml = readFileSync(`${chart}/values.yaml`, "utf8");
const sections = Object.entries(parse(valuesYaml) as object).flatMap(([name, value]) =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? [name] : [],
);
const fields = explainedValues(valuesYaml).map(({ path }) => path);

/** Each section by itself, the fields of each section together, and what is in no section. */
const places: [string, object][] = [
  ...sections.map((section): [string, object] => [section, { [section]: null }]),
  ...[...Map.groupBy(fields, sectionOf)].map(([section, paths]): [string, object] => {
    const nulls = Object.fromEntries(paths.map((path) => [path.slice(path.indexOf(".") + 1), null]));
    return [`the fields of ${section}`, section === "the top" ? nulls : { [section]: nulls }];
  }),
];

function sectionOf(path: string): string {
  return path.includes(".") ? path.slice(0, path.indexOf(".")) : "the top";
}

// Templates that do more when they are told more.
const much = {
  ...{ metricsPort: 9091, startupTaint: true, backend: "iptables" },
  ...{ podMonitor: { enabled: true }, grafanaDashboard: { enabled: true }, resourceQuota: { enabled: true } },
};

it.each(globSync("**/*.{yaml,txt}", { cwd: `${chart}/templates` }))(
  "%s begins with the defaults of what is null",
  (file) => {
    const text = readFileSync(`${chart}/templates/${file}`, "utf8");
    expect(text.startsWith('{{- include "magic-ip-address.settle" . -}}\n')).toBe(true);
  },
);

describe("null", () => {
  it.each(places)(
    "at %s is the default",
    async (_place, { addresses: _addresses, ...nulls }: { addresses?: null }) => {
      const left = Object.entries(much).filter(([name]) => !Object.hasOwn(nulls, name));
      // A PodMonitor without metricsPort is a mistake of its own.
      const kept = Object.fromEntries(
        left.filter(([name]) => name !== "podMonitor" || !("metricsPort" in nulls)),
      );
      const text = (values: object) =>
        renderText({ values: oneAddress({}, { ...kept, ...values }), namespace: "left" });
      expect(await text(nulls)).toBe(await text({}));
    },
  );

  it("in an address and a port is the default", async () => {
    const none = {
      ipv6Address: null,
      namespace: null,
      hostNetworkTargets: null,
      loadBalance: null,
      whenNoTarget: null,
    };
    const port = { name: null, endPort: null, targetPort: null, protocol: null };
    const values = oneAddress({ ...none, ports: [{ port: 8126, ...port }] });
    expect(await renderText({ values })).toBe(await renderText({ values: oneAddress() }));
    const whole = await renderText({ values: oneAddress({ ports: null }) });
    expect(whole).toBe(await renderText({ values: oneAddress({ ports: [] }) }));
  });

  it("for what there is no default of is missing", async () => {
    expect(await chartFaults({ values: { addresses: null } })).toEqual([
      "addresses: is empty: at least one address is needed",
    ]);
    expect(
      await chartFaults({ values: oneAddress({ ipAddress: null, selector: null, ports: [{ port: null }] }) }),
    ).toEqual([
      "addresses[0].ipAddress: is missing: a string is needed",
      "addresses[0].selector: is missing: a string is needed",
      "addresses[0].ports[0].port: is missing: a number is needed",
    ]);
  });

  it("inside an object of Kubernetes' takes away what the default has there, as Helm says", async () => {
    const nulls = { resources: { limits: null }, nodeSelector: { "kubernetes.io/os": null } };
    const { spec } = only(await render({ values: oneAddress({}, nulls) }), "DaemonSet").spec.template;
    expect(spec).not.toHaveProperty("nodeSelector");
    expect(spec.containers[0].resources).toEqual({ requests: { cpu: "10m", memory: "64Mi" } });
  });

  it.each([
    ...["podLabels", "podAnnotations", "daemonSetAnnotations", "nodeSelector", "serviceAccount.annotations"],
    ...["podMonitor.labels", "grafanaDashboard.labels", "grafanaDashboard.annotations", "tests.nodeSelector"],
  ])("takes a key out of %s, though no default has it (N14)", async (path) => {
    const text = (map: object) => {
      const [section = "", field] = path.split(".");
      const values: Record<string, unknown> = {
        ...much,
        [section]: field === undefined ? map : { enabled: true, [field]: map },
      };
      if (section === "serviceAccount" || section === "tests") values[section] = { [field ?? ""]: map };
      return renderText({ values: oneAddress({}, values) });
    };
    expect(await text({ team: null, kept: "a" })).toBe(await text({ kept: "a" }));
    expect(await text({ kept: "a" })).toContain("kept: a");
  });

  it("is the default in a subchart too", async () => {
    const nulls = Object.fromEntries(sections.map((section) => [section, null]));
    const release = await umbrella(["dd"]);
    const text = (values: object) => renderText({ ...release, values: { dd: oneAddress({}, values) } });
    expect(await text(nulls)).toBe(await text({}));
    await release.remove();
  });
});
