import { describe, expect, it } from "vitest";
import { parseCallee } from "../../agent/call.ts";
import { type Manifest, oneAddress, only, render, renderTests } from "./render.ts";

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

/** What the pod calls, as it stands in its arguments. */
const called = ([pod]: Manifest[]): string[] => pod?.spec.containers[0].args.slice(2);

describe("helm test", () => {
  it("calls every single port of TCP and UDP, in words that the agent reads", async () => {
    const calls = called(await renderTests({ values }));
    expect(calls).toEqual([
      "169.254.210.210:8126/TCP",
      "169.254.210.210:8125/UDP",
      "[fd00:210::210]:8126/TCP",
      "[fd00:210::210]:8125/UDP",
      "169.254.210.211:10/TCP",
    ]);
    expect(calls.map((text) => parseCallee(text).port)).toEqual([8126, 8125, 8126, 8125, 10]);
  });

  it("has no pod where there is nothing to call", async () => {
    expect(await renderTests({ values: oneAddress({ ports: undefined }) })).toEqual([]);
  });

  it("runs in a pod as restricted as can be, which is a client and no agent", async () => {
    const [pod] = await renderTests({ values });
    expect(pod?.metadata.annotations).toEqual({
      "helm.sh/hook": "test",
      "helm.sh/hook-delete-policy": "before-hook-creation",
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
