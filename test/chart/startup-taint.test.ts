import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { until } from "../cluster/patience.ts";
import { ControlPlane } from "../continuity/control-plane.ts";
import { helmPath, kubectlPath } from "../support/tools.ts";
import { chart, oneAddress, renderText } from "./render.ts";

const account = "system:serviceaccount:kube-system:mip-magic-ip-address";
/** What Kubernetes puts into a pod's token. */
const nodeName = "authentication.kubernetes.io/node-name";
const [rbac, admission] = ["rbac.authorization.k8s.io", "admissionregistration.k8s.io"];
/** The right consists of the first two, what limits it of the others. */
const parts = {
  clusterroles: rbac,
  clusterrolebindings: rbac,
  validatingadmissionpolicies: admission,
  validatingadmissionpolicybindings: admission,
};
type Part = keyof typeof parts;

let plane: ControlPlane;
let helmEnv: { HELM_DRIVER: string };

beforeAll(async () => {
  plane = await ControlPlane.start();
  await writeFile(join(plane.directory, "kubeconfig"), plane.kubeconfig);
  helmEnv = { HELM_DRIVER: "secret" };
  for (const name of ["own", "another"]) await plane.send("POST", "/api/v1/nodes", { metadata: { name } });
});

afterAll(() => plane?.remove());

afterEach(async () => {
  await helm("uninstall", {}, ["--ignore-not-found"]);
});

/** Runs helm about the release `mip`; returns its message where it fails. */
async function helm(command: string, values: object = {}, words: string[] = []): Promise<string> {
  const takesChart = command === "uninstall" ? [] : [chart, "--values=-"];
  const place = ["--namespace=kube-system", `--kubeconfig=${join(plane.directory, "kubeconfig")}`];
  const { failed, stderr } = await execa(
    await helmPath(),
    [command, "mip", ...takesChart, ...place, ...words],
    { input: JSON.stringify(oneAddress({}, values)), reject: false, env: helmEnv },
  );
  return failed ? stderr : "";
}

async function kubectl(words: string[], input = ""): Promise<string> {
  const kubeconfig = `--kubeconfig=${join(plane.directory, "kubeconfig")}`;
  const { stdout } = await execa(await kubectlPath(), [kubeconfig, ...words], { input });
  return stdout;
}

interface Change {
  part: Part;
  type: "ADDED" | "MODIFIED" | "DELETED";
  version: number;
}

/** Every change of a part that belongs to the release, in etcd's order. */
async function changesSince(version: string): Promise<Change[]> {
  const changes = await Promise.all(
    Object.entries(parts).map(async ([part, group]) => {
      const query = `watch=true&timeoutSeconds=1&resourceVersion=${version}`;
      const text = await kubectl(["get", "--raw", `/apis/${group}/v1/${part}?${query}`]);
      const events = text.split("\n").filter(Boolean);
      return events.map((line) => JSON.parse(line) as { type: Change["type"]; object: Meta });
    }),
  );
  return changes
    .flatMap((events, index) =>
      events
        .filter(({ object }) => object.metadata.name === "mip-magic-ip-address.kube-system")
        .map(({ type, object }) => ({
          part: Object.keys(parts)[index] as Part,
          type,
          version: Number(object.metadata.resourceVersion),
        })),
    )
    .toSorted((one, other) => one.version - other.version);
}

interface Meta {
  metadata: { name: string; resourceVersion: string };
}

async function now(): Promise<string> {
  const list = await plane.send<{ metadata: { resourceVersion: string } }>("GET", "/api/v1/nodes");
  return list.metadata.resourceVersion;
}

/** After each change: does the account have the right on nodes, and is there a policy that limits it? */
function states(changes: Change[], before: Part[] = []): { right: boolean; limited: boolean }[] {
  const there = new Set<Part>(before);
  return changes.map(({ part, type }) => {
    if (type === "DELETED") there.delete(part);
    else there.add(part);
    return {
      right: there.has("clusterroles") && there.has("clusterrolebindings"),
      limited: there.has("validatingadmissionpolicies") && there.has("validatingadmissionpolicybindings"),
    };
  });
}

const all = Object.keys(parts) as Part[];
const unlimited = { right: true, limited: false };

describe("the right on nodes that startupTaint gives", () => {
  it("is there after the policy that limits it, and gone before it", async () => {
    const start = await now();
    expect(await helm("install", { startupTaint: true })).toBe("");
    const installed = states(await changesSince(start));
    expect(installed.at(-1)).toEqual({ right: true, limited: true });
    expect(installed).not.toContainEqual(unlimited);

    const end = await now();
    expect(await helm("uninstall")).toBe("");
    const removed = states(await changesSince(end), all);
    expect(removed.at(-1)).toEqual({ right: false, limited: false });
    expect(removed).not.toContainEqual(unlimited);
  });

  it("comes and goes in this order with upgrades, too", async () => {
    expect(await helm("install", { startupTaint: false })).toBe("");
    const start = await now();
    expect(await helm("upgrade", { startupTaint: true })).toBe("");
    expect(await helm("upgrade", { startupTaint: true, verbose: true })).toBe("");
    expect(await helm("upgrade", { startupTaint: false })).toBe("");
    const found = states(await changesSince(start));
    expect(found).toContainEqual({ right: true, limited: true });
    expect(found.at(-1)).toEqual({ right: false, limited: false });
    expect(found).not.toContainEqual(unlimited);
  });

  it("comes in this order with kubectl apply", async () => {
    const start = await now();
    const manifests = await renderText({ values: oneAddress({}, { startupTaint: true }) });
    await kubectl(["apply", "-f", "-"], manifests);
    const found = states(await changesSince(start));
    expect(found.at(-1)).toEqual({ right: true, limited: true });
    expect(found).not.toContainEqual(unlimited);
    await kubectl(["delete", "--wait=false", "-f", "-"], manifests);
  });

  it("is in force for at most seconds before its limit is: the API server reads policies once a second", async () => {
    const tries = attempts();
    expect(await helm("install", { startupTaint: true })).toBe("");
    await tries.until(/may change no node but its own/);
    const { since, last } = await tries.end();
    expect(last - since).toBeLessThan(5_000);
  });

  it("stays behind with its limit where an install fails later, until helm takes the release back", async () => {
    // Nobody makes pods here, so that the DaemonSet is never ready.
    const words = ["--wait", "--timeout=3s"];
    const start = await now();
    expect(await helm("install", { startupTaint: true }, words)).toMatch(/INSTALLATION FAILED/);
    expect(states(await changesSince(start)).at(-1)).toEqual({ right: true, limited: true });
    expect(await helm("uninstall")).toBe("");

    const again = await now();
    const message = await helm("install", { startupTaint: true }, [...words, "--rollback-on-failure"]);
    expect(message).toMatch(/INSTALLATION FAILED/);
    const found = states(await changesSince(again));
    expect(found.at(-1)).toEqual({ right: false, limited: false });
    expect(found).not.toContainEqual(unlimited);
  });

  it("is without its limit only where the installer may give rights and not make policies, until helm uninstall", async () => {
    await allowAllButPolicies("installer");
    const start = await now();
    const message = await helm("install", { startupTaint: true }, ["--kube-as-user=installer"]);
    expect(message).toContain("validatingadmissionpolicies.admissionregistration.k8s.io");
    expect(states(await changesSince(start)).at(-1)).toEqual(unlimited);
    const end = await now();
    expect(await helm("uninstall")).toBe("");
    const rest = states(await changesSince(end), ["clusterroles", "clusterrolebindings"]);
    expect(rest.at(-1)).toEqual({ right: false, limited: false });
  });
});

async function allowAllButPolicies(name: string): Promise<void> {
  await plane.send("POST", `/apis/${rbac}/v1/clusterroles`, {
    metadata: { name },
    rules: [
      { apiGroups: ["", "apps", rbac], resources: ["*"], verbs: ["*"] },
      { apiGroups: [admission], resources: ["*"], verbs: ["get", "list"] },
    ],
  });
  await plane.send("POST", `/apis/${rbac}/v1/clusterrolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: rbac, kind: "ClusterRole", name },
    subjects: [{ apiGroup: rbac, kind: "User", name }],
  });
}

/** Changes another node again and again, as an agent could whose account has the right. */
function attempts() {
  const headers = {
    "impersonate-user": account,
    [`impersonate-extra-${encodeURIComponent(nodeName)}`]: "own",
  };
  const found = { message: "", since: 0, last: 0 };
  const stop = new AbortController();
  const run = async () => {
    for (let count = 0; !stop.signal.aborted; count++) {
      const change = { metadata: { annotations: { "example.com/count": String(count) } } };
      try {
        await plane.send("PATCH", "/api/v1/nodes/another", change, headers);
        found.last = performance.now();
        found.since ||= found.last;
      } catch (error) {
        found.message = String(error);
      }
    }
  };
  const done = run();
  return {
    until: async (message: RegExp) => {
      await until({ what: String(message), seconds: 20 }, () => Promise.resolve(message.test(found.message)));
    },
    end: async () => {
      stop.abort();
      await done;
      return found;
    },
  };
}
