import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "../continuity/control-plane.ts";
import { chart, helm, oneAddress } from "./render.ts";

const taint = oneAddress({}, { startupTaint: true });
const monitor = (podMonitor: object = {}) =>
  oneAddress({}, { metricsPort: 9091, podMonitor: { enabled: true, ...podMonitor } });

const noMonitors =
  "podMonitor.enabled: the cluster has no monitoring.coreos.com/v1/PodMonitor: install the Prometheus operator's CRDs first, or set podMonitor.assumeCrd where they come with the same deployment";
const tooOld = (version: string) =>
  `startupTaint: the cluster is Kubernetes ${version}, and the ValidatingAdmissionPolicy that keeps the agent to its own node's taint needs 1.30: leave it out, or upgrade the cluster`;
const noPolicies =
  "startupTaint: the cluster's API server has no admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy, which keeps the agent to its own node's taint: leave it out, or enable that API";

describe("helm template, which asks no cluster", () => {
  const template = async (values: object, ...flags: string[]) => {
    const { stderr, exitCode } = await helm(["template", "mip", chart, "--values", "-", ...flags], values);
    return exitCode === 0 ? "" : stderr;
  };

  it.each(["v1.25.16", "v1.29.14", "v1.29.9-eks-1234567", "v1.29.1+k3s2", "v1.29.7-gke.1104000"])(
    "refuses startupTaint for Kubernetes %s",
    async (version) => {
      expect(await template(taint, "--kube-version", version)).toContain(tooOld(version));
      expect(await template(oneAddress(), "--kube-version", version)).toBe("");
    },
  );

  it.each(["v1.30.0", "v1.30.4-eks-1234567", "v1.31.2+k3s1", "v1.33.5-gke.1162000"])(
    "takes startupTaint for Kubernetes %s, though it knows no kinds",
    async (version) => {
      expect(await template(taint, "--kube-version", version)).toBe("");
    },
  );

  it("takes a PodMonitor, of which it knows nothing", async () => {
    expect(await template(monitor())).toBe("");
    expect(await template(monitor(), "--api-versions", "monitoring.coreos.com/v1")).toBe("");
  });

  // As Argo CD does.
  it("judges by the kinds where somebody names them", async () => {
    const kinds = ["--api-versions", "apps/v1/DaemonSet"];
    expect(await template(taint, ...kinds)).toContain(noPolicies);
    expect(await template(monitor(), ...kinds)).toContain(noMonitors);
    expect(await template(monitor({ assumeCrd: true }), ...kinds)).toBe("");
    const policies = ["--api-versions", "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"];
    expect(await template(taint, ...kinds, ...policies)).toBe("");
    const monitors = ["--api-versions", "monitoring.coreos.com/v1/PodMonitor"];
    expect(await template(monitor(), ...kinds, ...monitors)).toBe("");
  });
});

describe("helm install at a cluster", () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await ControlPlane.start();
  });
  afterAll(() => plane.remove());

  const install = async (values: object) => {
    const token = readFileSync(join(plane.directory, "tokens.csv"), "utf8").split(",")[0] ?? "";
    const { stderr, exitCode } = await helm(
      [
        ...["install", "mip", chart, "--namespace", "default", "--dry-run=server", "--values", "-"],
        ...[
          "--kube-apiserver",
          `https://127.0.0.1:${plane.ports.api}`,
          "--kube-tls-server-name",
          "kubernetes",
        ],
        ...["--kube-ca-file", join(plane.directory, "certificates/apiserver.crt"), "--kube-token", token],
      ],
      values,
    );
    return exitCode === 0 ? "" : stderr;
  };

  const podMonitors = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "podmonitors.monitoring.coreos.com" },
    spec: {
      group: "monitoring.coreos.com",
      scope: "Namespaced",
      names: {
        kind: "PodMonitor",
        listKind: "PodMonitorList",
        plural: "podmonitors",
        singular: "podmonitor",
      },
      versions: [
        {
          ...{ name: "v1", served: true, storage: true },
          schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
        },
      ],
    },
  };

  it("takes startupTaint where the API server has the policies", async () => {
    expect(await install(taint)).toBe("");
  });

  it("refuses a PodMonitor until its CRD is there", async () => {
    expect(await install(monitor())).toContain(noMonitors);
    await plane.send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", podMonitors);
    await expect.poll(() => install(monitor()), { timeout: 30_000 }).toBe("");
  });
});
