import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../agent/config/config.ts";
import { chart, configText, only, render } from "./render.ts";

/** The default values of stable/magic-ip-address 0.1.2, each by its path; those without a value are left out. */
const oldDefaults: Record<string, unknown> = {
  "image.repository": "mumoshu/kube-magic-ip-assigner",
  "image.tag": "0.9.0-1.9.8",
  "image.pullPolicy": "IfNotPresent",
  "config.ipAddress": "169.254.210.210",
  "config.selector": "app=myapp",
  "config.hostInterface": "cni0",
  "config.port": 9200,
  "config.protocol": "tcp",
  "config.pollInterval": 5,
  extraVars: {},
  resources: {},
  "rbac.create": true,
  "serviceAccount.create": true,
  "the release's namespace": "kube-system",
};

interface Row {
  to: string;
  change: string;
}

/** The table of the chart's README, by the old value's path. */
async function migration(): Promise<Map<string, Row>> {
  const readme = await readFile(`${chart}/README.md`, "utf8");
  const [, section = ""] = readme.split("\n## From stable/magic-ip-address\n");
  const rows = section.split("\n## ")[0]?.matchAll(/^\| ([^|]+) \| ([^|]+) \|([^|]*)\|$/gm) ?? [];
  const bare = (cell = "") => cell.replaceAll("`", "").trim();
  return new Map(
    [...rows].slice(2).map(([, from, to, change]) => [bare(from), { to: bare(to), change: bare(change) }]),
  );
}

/** The old values under their new names, as somebody does it who follows the table. */
async function migrated(old: Record<string, unknown>): Promise<object> {
  const table = await migration();
  const values = {};
  for (const [from, value] of Object.entries(old)) {
    const row = table.get(from);
    if (row === undefined) throw new Error(`the table does not say what becomes of ${from}`);
    if (row.to !== "—")
      put(values, row.to, row.change === "in capitals" ? String(value).toUpperCase() : value);
  }
  return values;
}

function put(values: object, path: string, value: unknown): void {
  const keys = path.replaceAll(/\[(\d+)\]/g, ".$1").split(".");
  let place = values as Record<string, unknown>;
  keys.forEach((key, index) => {
    const next = keys[index + 1];
    if (next === undefined) place[key] = value;
    else place = (place[key] ??= /^\d+$/.test(next) ? [] : {}) as Record<string, unknown>;
  });
}

describe("the values of stable/magic-ip-address", () => {
  it("under their new names install the same address", async () => {
    const manifests = await render({ values: await migrated(oldDefaults) });
    const { addresses } = parseConfig(configText(manifests));
    expect(addresses).toMatchObject([
      {
        ipAddresses: ["169.254.210.210"],
        namespace: "kube-system",
        selector: "app=myapp",
        ports: [{ port: 9200, targetPort: 9200, protocol: "tcp" }],
      },
    ]);
    const [{ image, imagePullPolicy }] = only(manifests, "DaemonSet").spec.template.spec.containers;
    expect([image, imagePullPolicy]).toEqual([
      expect.stringContaining("magic-ip-address-agent:"),
      "IfNotPresent",
    ]);
  });

  it("that have no default have a place, too", async () => {
    const others = {
      "config.verbose": true,
      "extraVars.TARGET_PORT": 8200,
      "serviceAccount.name": "magic-ip",
      nodeSelector: { pool: "apps" },
      nameOverride: "apm",
      fullnameOverride: "apm-server",
    };
    const manifests = await render({ values: await migrated({ ...oldDefaults, ...others }) });
    expect(parseConfig(configText(manifests))).toMatchObject({
      verbose: true,
      addresses: [{ ports: [{ port: 9200, targetPort: 8200 }] }],
    });
    const { metadata, spec } = only(manifests, "DaemonSet");
    expect([metadata.name, metadata.labels["app.kubernetes.io/name"]]).toEqual(["apm-server", "apm"]);
    expect(spec.template.spec).toMatchObject({
      serviceAccountName: "magic-ip",
      nodeSelector: { pool: "apps" },
    });
  });
});
