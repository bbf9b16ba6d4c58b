import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";

import { type Api, connectApi } from "../../agent/kubernetes/api.ts";
import { removeTaint, startupTaint } from "../../agent/kubernetes/taint.ts";
import { oneAddress, render } from "../chart/render.ts";
import { type Cluster, down, up } from "../cluster/cluster.ts";
import { until } from "../kernel/agent-in-namespace.ts";

const account = "mip-magic-ip-address";
const forever = new AbortController().signal;
const before = { MAGIC_IP_CLUSTER: process.env.MAGIC_IP_CLUSTER, KUBECONFIG: process.env.KUBECONFIG };

let cluster: Cluster;
let directory: string;
let own: string;
/** As the agent of the cluster's only node. */
let api: Api;

beforeAll(async () => {
  process.env.MAGIC_IP_CLUSTER = "taint";
  directory = await mkdtemp(join(tmpdir(), "magic-ip-taint-"));
  cluster = await up({ nodes: 1 });
  own = cluster.nodes[0]?.name ?? "";
  const manifests = await render({ values: oneAddress({}, { startupTaint: true }) });
  const kinds = /^(ServiceAccount|Cluster|ValidatingAdmissionPolicy)/;
  await apply(...manifests.filter(({ kind }) => kinds.test(kind)));
  await apply(
    { apiVersion: "v1", kind: "Node", metadata: { name: "another" } },
    {
      ...{ apiVersion: "v1", kind: "Pod", metadata: { name: "agent", namespace: "kube-system" } },
      spec: {
        ...{ nodeName: own, serviceAccountName: account, tolerations: [{ operator: "Exists" }] },
        containers: [{ name: "none", image: "none.invalid/none", imagePullPolicy: "Never" }],
      },
    },
  );
  api = await apiAs("--bound-object-kind=Pod", "--bound-object-name=agent");
  // A policy is in force some moments after it was accepted.
  await until(() => refused(labelled("another")), 20_000);
});

afterAll(async () => {
  process.env.MAGIC_IP_CLUSTER = "taint";
  await down();
  await rm(directory, { recursive: true, force: true });
  restore("MAGIC_IP_CLUSTER");
  restore("KUBECONFIG");
});

describe("an agent whose account has the chart's rights", () => {
  it("takes the startup taint from its own node, and leaves the others", async () => {
    await taint(own, startupTaint, "example.com/other");
    expect(await removeTaint(api, own, forever)).toBe(true);
    expect(await taintsOf(own)).toEqual(["example.com/other"]);
    await cluster.kubectl(["taint", "node", own, "example.com/other-"]);
  });

  it("takes it away where it is the only one", async () => {
    await taint(own, startupTaint);
    expect(await removeTaint(api, own, forever)).toBe(true);
    expect(await taintsOf(own)).toEqual([]);
  });

  it("does not take it from another node", async () => {
    await taint("another", startupTaint);
    await expect(removeTaint(api, "another", forever)).rejects.toThrow(/change no node but its own/);
    expect(await taintsOf("another")).toContain(startupTaint);
  });

  it("can neither remove nor add another taint", async () => {
    await taint(own, "example.com/other");
    const replaced = (value: object[]) =>
      api.patch(`/api/v1/nodes/${own}`, [{ op: "add", path: "/spec/taints", value }], forever);
    const refusal = /change no taint but magic-ip-address\/agent-not-ready, and only remove it/;
    await expect(replaced([])).rejects.toThrow(refusal);
    const other = { key: "example.com/other", effect: "NoSchedule" };
    await expect(replaced([other, { ...other, key: "example.com/new" }])).rejects.toThrow(refusal);
    await expect(replaced([other, { ...other, key: startupTaint }])).rejects.toThrow(refusal);
    expect(await taintsOf(own)).toEqual(["example.com/other"]);
    await cluster.kubectl(["taint", "node", own, "example.com/other-"]);
  });

  it.each([
    ["a label", "/metadata/labels/example.com~1a", "b"],
    ["an annotation", "/metadata/annotations/example.com~1a", "b"],
    ["a finalizer", "/metadata/finalizers", ["example.com/a"]],
    ["whether it takes pods", "/spec/unschedulable", true],
  ])("cannot change of its own node %s", async (_, path, value) => {
    const change = api.patch(`/api/v1/nodes/${own}`, [{ op: "add", path, value }], forever);
    await expect(change).rejects.toThrow(/change nothing of a node but the taint/);
  });

  it("cannot change its node's status", async () => {
    const change = [{ op: "add", path: "/status/capacity/example.com~1a", value: "1" }];
    await expect(api.patch(`/api/v1/nodes/${own}/status`, change, forever)).rejects.toThrow("403");
  });

  it("cannot do anything with a token that names no node", async () => {
    await taint(own, startupTaint);
    const loose = await apiAs();
    await expect(removeTaint(loose, own, forever)).rejects.toThrow(/change no node but its own/);
    await cluster.kubectl(["taint", "node", own, `${startupTaint}-`]);
  });
});

it("nobody else is held to that policy", async () => {
  await cluster.kubectl(["label", "node", own, "example.com/a=b"]);
  await cluster.kubectl(["label", "node", own, "example.com/a-"]);
});

async function apply(...objects: object[]): Promise<void> {
  await cluster.kubectl(["apply", "-f", "-"], {
    input: objects.map((object) => stringify(object)).join("---\n"),
  });
}

async function taint(node: string, ...keys: string[]): Promise<void> {
  await cluster.kubectl(["taint", "node", node, "--overwrite", ...keys.map((key) => `${key}:NoSchedule`)]);
}

async function taintsOf(node: string): Promise<string[]> {
  const keys = await cluster.kubectl(["get", "node", node, "-o", "jsonpath={.spec.taints[*].key}"]);
  return keys.trim().split(" ").filter(Boolean);
}

/** The API server to somebody with a token of the agent's account. */
async function apiAs(...binding: string[]): Promise<Api> {
  const token = await cluster.kubectl(["create", "token", account, "-n", "kube-system", ...binding]);
  const kubeconfig = parse(await readFile(cluster.kubeconfig, "utf8")) as { users: { user: object }[] };
  for (const user of kubeconfig.users) user.user = { token: token.trim() };
  process.env.KUBECONFIG = join(directory, "kubeconfig");
  await writeFile(process.env.KUBECONFIG, stringify(kubeconfig));
  return connectApi();
}

function labelled(node: string): Promise<void> {
  const change = [{ op: "add", path: "/metadata/labels", value: { "example.com/a": "b" } }];
  return api.patch(`/api/v1/nodes/${node}`, change, forever);
}

async function refused(change: Promise<void>): Promise<boolean> {
  return change.then(
    () => false,
    (error: Error) => error.message.includes("ValidatingAdmissionPolicy"),
  );
}

function restore(name: keyof typeof before): void {
  if (before[name] === undefined) delete process.env[name];
  else process.env[name] = before[name];
}
