import { describe, expect, it } from "vitest";
import { calleesOf } from "../../agent/commands/calling.ts";
import { parseConfig } from "../../agent/config/config.ts";
import { configText, type Manifest, oneAddress, only, render, renderTests } from "./render.ts";

const values = {
  addresses: [
    {
      ...{ ipAddress: "169.254.210.210", ipv6Address: "fd00:210::210", selector: "app=dd-agent" },
      ports: [{ port: 8126 }, { port: 8125, protocol: "UDP" }, { port: 3868, protocol: "SCTP" }],
    },
    {
      ipAddress: "169.254.210.211",
      selector: "app=sip",
      ports: [
        { port: 1, endPort: 9 },
        { port: 10, endPort: 10 },
      ],
    },
    { ipAddress: "169.254.210.212", selector: "app=lab" },
  ],
};

/** The configuration that the pod calls the addresses of. */
const configOf = ([pod]: Manifest[]): string => pod?.metadata.annotations["magic-ip-address/config"] ?? "";

describe("helm test", () => {
  it("calls every single port of TCP and UDP of the agents' configuration", async () => {
    const config = configOf(await renderTests({ values }));
    expect(config).toBe(configText(await render({ values })));
    expect(calleesOf(parseConfig(config))).toEqual([
      { ip: "169.254.210.210", port: 8126, protocol: "tcp" },
      { ip: "169.254.210.210", port: 8125, protocol: "udp" },
      { ip: "fd00:210::210", port: 8126, protocol: "tcp" },
      { ip: "fd00:210::210", port: 8125, protocol: "udp" },
      { ip: "169.254.210.211", port: 10, protocol: "tcp" },
    ]);
  });

  it("has nothing of the addresses in the pod's spec, which cannot be changed", async () => {
    const [first] = await renderTests({ values });
    const [second] = await renderTests({ values: oneAddress() });
    expect(first?.spec).toEqual(second?.spec);
    expect(first?.spec.containers[0].args).toEqual([
      "call",
      "--wait=60s",
      "--config=/etc/magic-ip-address/config.yaml",
    ]);
  });

  it("has no pod where there is nothing to call", async () => {
    expect(await renderTests({ values: oneAddress({ ports: undefined }) })).toEqual([]);
  });

  it("has no pod where tests.enabled is false", async () => {
    expect(await renderTests({ values: { ...values, tests: { enabled: false } } })).toEqual([]);
  });

  it("runs in a pod as restricted as can be, which is a client and no agent", async () => {
    const [pod] = await renderTests({ values });
    expect(pod?.metadata.annotations).toEqual({
      "helm.sh/hook": "test",
      "helm.sh/hook-delete-policy": "before-hook-creation",
      "magic-ip-address/config": expect.any(String),
    });
    expect(pod?.spec.hostNetwork).toBeUndefined();
    expect(pod?.spec).toMatchObject({
      restartPolicy: "Never",
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
    });
    expect(pod?.spec.containers[0].securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  });

  it("has other labels than the DaemonSet selects, which would adopt the pod", async () => {
    const [pod] = await renderTests({ values });
    const { matchLabels } = only(await render({ values }), "DaemonSet").spec.selector;
    expect(pod?.metadata.labels).not.toMatchObject(matchLabels);
  });

  it("uses the agent's image, secrets and nodes, or what is said", async () => {
    const image = { repository: "registry.example/agent", tag: "2", pullPolicy: "Always" };
    const [pod] = await renderTests({
      values: { ...values, image, imagePullSecrets: [{ name: "registry" }] },
    });
    expect(pod?.spec.containers[0]).toMatchObject({
      image: "registry.example/agent:2",
      imagePullPolicy: "Always",
    });
    expect(pod?.spec.containers[0].args.slice(0, 2)).toEqual(["call", "--wait=60s"]);
    expect(pod?.spec).toMatchObject({
      imagePullSecrets: [{ name: "registry" }],
      nodeSelector: { "kubernetes.io/os": "linux" },
    });
    expect(pod?.spec.tolerations).toBeUndefined();
    const tolerations = [{ key: "pool", operator: "Exists" }];
    const tests = { image: "other:3", wait: "5s", nodeSelector: { canary: "true" }, tolerations };
    const [own] = await renderTests({ values: { ...values, tests } });
    expect(own?.spec.containers[0].image).toBe("other:3");
    expect(own?.spec.containers[0].args[1]).toBe("--wait=5s");
    expect(own?.spec.nodeSelector).toEqual({ "kubernetes.io/os": "linux", canary: "true" });
    expect(own?.spec.tolerations).toEqual(tolerations);
  });
});
