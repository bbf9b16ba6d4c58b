import { describe, expect, it } from "vitest";
import { parseImage } from "../../component/image.ts";
import { chartValues } from "../../component/values.ts";
import { configText, oneAddress, only, render } from "../chart/render.ts";

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
const address = { ipAddress: "169.254.210.210", selector: "app=dd-agent", ports: [{ port: 8126 }] };

describe("an image", () => {
  it.each([
    ["agent", { repository: "agent" }],
    ["agent:1", { repository: "agent", tag: "1" }],
    ["a/b/c:v1.2-x_y", { repository: "a/b/c", tag: "v1.2-x_y" }],
    ["registry.example:5000/agent", { repository: "registry.example:5000/agent" }],
    ["localhost:5000/a/b:1", { repository: "localhost:5000/a/b", tag: "1" }],
    [`agent@${digest}`, { repository: "agent", digest }],
    [`registry.example:5000/a:1@${digest}`, { repository: "registry.example:5000/a", tag: "1", digest }],
  ])("%s is read", (text, image) => {
    expect(parseImage(text)).toEqual(image);
  });

  it.each(["", "Agent", "agent:", "agent:1:2", "agent@sha256:12", ":1", "a//b", "https://a/b", "a b"])(
    "%j is none",
    (text) => {
      expect(parseImage(text)).toBeUndefined();
    },
  );
});

describe("the chart's values", () => {
  it("hold what is given and nothing else", () => {
    expect(chartValues("dd-agent", { addresses: [address], agent: { namespace: "infra" } })).toEqual({
      fullnameOverride: "dd-agent",
      addresses: [address],
    });
  });

  it("have the agent's arguments under the chart's names", () => {
    const agent = {
      image: `registry.example:5000/a:1@${digest}`,
      imagePullPolicy: "Always" as const,
      imagePullSecrets: ["one", "two"],
      pollInterval: 60,
      verbose: false,
      backend: "iptables" as const,
      hostClients: false,
      outsideGuard: false,
      masquerade: "always" as const,
      startupTaint: true,
      allowedCidrs: ["169.254.0.0/16"],
      tolerations: [{ key: "a" }],
    };
    expect(chartValues("x", { addresses: [], agent })).toEqual({
      fullnameOverride: "x",
      addresses: [],
      image: { repository: "registry.example:5000/a", tag: "1", digest, pullPolicy: "Always" },
      imagePullSecrets: [{ name: "one" }, { name: "two" }],
      pollInterval: 60,
      verbose: false,
      backend: "iptables",
      hostClients: false,
      outsideGuard: false,
      masquerade: "always",
      startupTaint: true,
      allowedCidrs: ["169.254.0.0/16"],
      tolerations: [{ key: "a" }],
    });
  });

  it("have an address's arguments under the chart's names", () => {
    const full = {
      ...address,
      ipv6Address: "fd00:210::210",
      namespace: "monitoring",
      hostNetworkTargets: true,
      loadBalance: true,
      whenNoTarget: "Pass" as const,
      ports: [{ port: 8000, endPort: 8010, protocol: "SCTP" as const }],
    };
    const whole = { ipAddress: "fd00:210::211", selector: "app=x" };
    expect(chartValues("x", { addresses: [full, whole] }).addresses).toEqual([full, whole]);
  });

  it("have one targetPort, whether it was given as a number or as a name", () => {
    const ports = [
      { port: 1, targetPort: 2 },
      { port: 3, targetPortName: "http", name: "a", protocol: "UDP" as const },
    ];
    expect(chartValues("x", { addresses: [{ ...address, ports }] }).addresses).toMatchObject([
      {
        ports: [
          { port: 1, targetPort: 2 },
          { port: 3, targetPort: "http", name: "a", protocol: "UDP" },
        ],
      },
    ]);
  });

  it.each([
    [{ maxUnavailable: "2" }, { rollingUpdate: { maxUnavailable: 2 } }],
    [{ maxUnavailable: 2 }, { rollingUpdate: { maxUnavailable: 2 } }],
    [{ maxUnavailable: "25%" }, { rollingUpdate: { maxUnavailable: "25%" } }],
    [
      { type: "RollingUpdate" as const, maxUnavailable: "2" },
      { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 2 } },
    ],
    [{ type: "OnDelete" as const }, { type: "OnDelete" }],
  ])(
    "have the update strategy %j, and none of the chart's that contradicts it",
    async (updateStrategy, wanted) => {
      const values = chartValues("x", { addresses: [address], agent: { updateStrategy } });
      const { spec } = only(await render({ values }), "DaemonSet");
      expect(spec.updateStrategy).toEqual({ type: "RollingUpdate", ...wanted });
    },
  );

  it("end with the caller's, merged key by key; lists are replaced", () => {
    const agent = { image: "a:1", tolerations: [{ key: "a" }], nodeSelector: { a: "b" } };
    const values = { image: { tag: "2" }, tolerations: [], nodeSelector: { c: "d" }, affinity: { e: {} } };
    expect(chartValues("x", { addresses: [], agent, values })).toMatchObject({
      image: { repository: "a", tag: "2" },
      tolerations: [],
      nodeSelector: { a: "b", c: "d" },
      affinity: { e: {} },
    });
  });

  it("are what the chart accepts, all of them, and its DaemonSet has the component's name", async () => {
    const agent = {
      image: "a:1",
      imagePullPolicy: "Never" as const,
      imagePullSecrets: ["s"],
      pollInterval: 60,
      verbose: true,
      healthPort: 61500,
      metricsPort: 9810,
      createNamespace: true,
      updateStrategy: { maxUnavailable: "1" },
      tolerations: [{ key: "a", operator: "Exists" }],
      nodeSelector: { a: "b" },
      priorityClassName: "p",
      resources: { limits: { memory: "1Gi" } },
      podAnnotations: { a: "b" },
      podLabels: { team: "c" },
      backend: "iptables" as const,
      hostClients: false,
      outsideGuard: false,
      masquerade: "always" as const,
      startupTaint: true,
      allowedCidrs: ["169.254.0.0/16", "fd00::/8"],
    };
    const addresses = [
      { ...address, ipv6Address: "fd00:210::210", loadBalance: true, whenNoTarget: "Drop" as const },
      {
        ...address,
        ipAddress: "169.254.210.211",
        ports: [{ port: 1, endPort: 2, protocol: "SCTP" as const }],
      },
      { ipAddress: "169.254.210.212", selector: "app=x" },
    ];
    const manifests = await render({ values: chartValues("dd-agent", { addresses, agent }) });
    const daemonSet = only(manifests, "DaemonSet", "dd-agent");
    expect(daemonSet.spec.template.spec).toMatchObject({
      nodeSelector: { a: "b", "kubernetes.io/os": "linux" },
      tolerations: [
        { key: "a", operator: "Exists" },
        { key: "magic-ip-address/agent-not-ready", operator: "Exists" },
      ],
      priorityClassName: "p",
      imagePullSecrets: [{ name: "s" }],
      containers: [
        {
          image: "a:1",
          imagePullPolicy: "Never",
          resources: { limits: { memory: "1Gi" }, requests: { cpu: "10m" } },
        },
      ],
    });
    expect(daemonSet.spec.template.metadata.annotations).toMatchObject({ a: "b" });
    expect(daemonSet.spec.template.metadata.labels).toMatchObject({ team: "c" });
  });

  it("render as those that a Helm user would write", async () => {
    const configOf = async (values: object) => configText(await render({ values }));
    expect(await configOf(chartValues("mip-magic-ip-address", { addresses: [address] }))).toEqual(
      await configOf(oneAddress()),
    );
  });
});
