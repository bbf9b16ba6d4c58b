import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MagicIpAddress } from "../../index.ts";
import { openStack } from "./stack.ts";

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "magic-ip-stack-"));
  const cluster = { server: "https://127.0.0.1:1" };
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "nowhere", cluster }],
    users: [{ name: "nobody", user: { token: "none" } }],
    contexts: [{ name: "nowhere", context: { cluster: "nowhere", user: "nobody" } }],
    "current-context": "nowhere",
  };
  await writeFile(join(directory, "kubeconfig"), JSON.stringify(kubeconfig));
});

afterAll(() => rm(directory, { recursive: true, force: true }));

describe("a preview by the real engine, of a cluster that cannot be reached", () => {
  it("shows the component and every object of its chart", async () => {
    const stack = await open(126);
    const { changes, steps, diagnostics } = await stack.preview();
    expect(diagnostics).toBe("");
    expect(changes).toMatchObject({ updated: 0, replaced: 0, deleted: 0, same: 0 });
    const types = steps.map(({ type }) => type.split(":").at(-1));
    expect(types).toEqual(expect.arrayContaining(["MagicIpAddress", "Chart", "ConfigMap", "DaemonSet"]));
    expect(steps).toContainEqual({
      op: "create",
      type: "kubernetes:apps/v1:DaemonSet",
      name: "dd-agent:kube-system/dd-agent",
    });
  });

  it("ends with what is wrong with the arguments, and nothing else", async () => {
    const stack = await open(70000);
    await expect(stack.preview()).rejects.toThrow(
      /^pulumi preview failed:\nerror: MagicIpAddress "dd-agent" cannot be installed, .*\n {2}ports\[0\]\.port: 70000.*$/,
    );
  });
});

function open(port: number) {
  return openStack({
    program: async () => {
      const selector = "app=dd-agent";
      new MagicIpAddress("dd-agent", { ipAddress: "169.254.210.210", selector, ports: [{ port }] });
    },
    kubeconfig: join(directory, "kubeconfig"),
    stackName: "test",
    // Pulumi's own asks the cluster before it renders.
    plugin: { kind: "stand-in" },
    stateDirectory: directory,
  });
}
