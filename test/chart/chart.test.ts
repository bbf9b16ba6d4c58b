import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import packageJson from "../../package.json" with { type: "json" };
import { expectGolden } from "../support/golden.ts";
import {
  chart,
  configText,
  helm,
  type Manifest,
  oneAddress,
  only,
  render,
  renderNotes,
  renderText,
} from "./render.ts";

const twoAddresses = {
  addresses: [
    {
      ipAddress: "169.254.210.210",
      namespace: "monitoring",
      selector: "app=dd-agent",
      ports: [
        { name: "apm", port: 8126 },
        { name: "dogstatsd", port: 8125, protocol: "UDP", targetPort: "statsd" },
      ],
    },
    {
      ipAddress: "169.254.210.211",
      selector: "app in (zipkin,zipkin-gcp)",
      hostNetworkTargets: true,
      ports: [{ port: 9411, targetPort: 19411 }],
    },
    {
      ipAddress: "169.254.210.212",
      namespace: "monitoring",
      selector: "app=otel",
      ports: [{ port: 4317 }],
    },
    {
      ipAddress: "169.254.210.213",
      ipv6Address: "fd00:210::213",
      selector: "app=sip",
      whenNoTarget: "Drop",
      ports: [{ name: "media", port: 10000, endPort: 10099, protocol: "UDP" }],
    },
    { ipAddress: "fd00:210::214", selector: "app=lab", loadBalance: true },
  ],
};

/** Values with addresses that are all the same but for what is told of each. */
function addressesLike(...changes: object[]): object {
  const same = { ipAddress: "169.254.210.210", selector: "app=dd-agent", ports: [{ port: 8126 }] };
  return { addresses: changes.map((change) => ({ ...same, ...change })) };
}

const podSpec = (manifests: Manifest[]) => only(manifests, "DaemonSet").spec.template.spec;
const container = (manifests: Manifest[]) => podSpec(manifests).containers[0];
const config = (manifests: Manifest[]) => parse(configText(manifests));

describe("the chart", () => {
  it("renders as it did when somebody last looked at all of it", async () => {
    expectGolden(
      new URL("./golden/two-addresses.yaml", import.meta.url),
      await renderText({ values: twoAddresses }),
    );
  });

  it("passes helm lint, also with its own values, which have no address", async () => {
    for (const values of [{}, twoAddresses]) {
      const { stdout, stderr, exitCode } = await helm(["lint", "--strict", chart, "--values", "-"], values);
      expect([exitCode, stdout, stderr].join("\n")).toContain("1 chart(s) linted, 0 chart(s) failed");
      expect(exitCode).toBe(0);
    }
  });

  it.each([
    ["TCP and UDP share a port number", [{ ports: [{ port: 53 }, { port: 53, protocol: "UDP" }] }]],
    ["a whole IP take what an address with ports leaves", [{}, { ports: undefined }]],
    ["a range have one port", [{ ports: [{ port: 53, endPort: 53 }] }]],
  ])("lets %s", async (_, addresses) => {
    await expect(render({ values: addressesLike(...addresses) })).resolves.toBeDefined();
  });
});

describe("the agent's pod", () => {
  it("has one capability and cannot get another", async () => {
    const manifests = await render({ values: oneAddress() });
    expect(container(manifests).securityContext).toEqual({
      runAsUser: 0,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"], add: ["NET_ADMIN"] },
    });
    expect(podSpec(manifests).securityContext).toEqual({ seccompProfile: { type: "RuntimeDefault" } });
  });

  it.each(["auto", "nftables"])("has no more than that with the backend %s", async (backend) => {
    const manifests = await render({ values: oneAddress({}, { backend }) });
    expect(container(manifests).securityContext.capabilities.add).toEqual(["NET_ADMIN"]);
    expect(podSpec(manifests).volumes).toHaveLength(1);
  });

  it("has with the backend iptables what iptables-legacy needs: raw sockets, and the lock of the node", async () => {
    const manifests = await render({ values: oneAddress({}, { backend: "iptables" }) });
    expect(container(manifests).securityContext).toMatchObject({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"], add: ["NET_ADMIN", "NET_RAW"] },
    });
    expect(podSpec(manifests).volumes).toContainEqual({
      name: "xtables-lock",
      hostPath: { path: "/run/xtables.lock", type: "FileOrCreate" },
    });
    expect(container(manifests).volumeMounts).toContainEqual({
      name: "xtables-lock",
      mountPath: "/run/xtables.lock",
      readOnly: false,
    });
  });

  it("runs on every Linux node, is the last to be evicted, and is replaced a tenth of the nodes at a time", async () => {
    const manifests = await render({ values: oneAddress() });
    expect(podSpec(manifests)).toMatchObject({
      hostNetwork: true,
      tolerations: [{ operator: "Exists" }],
      nodeSelector: { "kubernetes.io/os": "linux" },
      priorityClassName: "system-node-critical",
      affinity: { nodeAffinity: expect.anything() },
    });
    expect(only(manifests, "DaemonSet").spec.updateStrategy).toEqual({
      type: "RollingUpdate",
      rollingUpdate: { maxUnavailable: "10%" },
    });
  });

  it("keeps off EKS nodes that have no place for it, unless an affinity is set", async () => {
    const { affinity } = podSpec(await render({ values: oneAddress() }));
    expect(affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms).toEqual([
      {
        matchExpressions: [{ key: "eks.amazonaws.com/compute-type", operator: "NotIn", values: ["fargate"] }],
      },
    ]);
    const own = { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } };
    expect(podSpec(await render({ values: oneAddress({}, { affinity: own }) })).affinity).toEqual(own);
  });

  it("is probed on the node's loopback, at the port in its configuration, once it says that it holds that", async () => {
    const manifests = await render({ values: oneAddress() });
    const { startupProbe, livenessProbe, readinessProbe, ports } = container(manifests);
    const { healthPort } = config(manifests);
    const at = (path: string) => ({ host: "127.0.0.1", port: healthPort, path });
    expect([livenessProbe.httpGet, readinessProbe.httpGet]).toEqual([at("/livez"), at("/readyz")]);
    expect(startupProbe.exec.command).toEqual(["grep", "-qx", "magic-ip-agent", "/proc/1/comm"]);
    // Declared, so that no pod with this hostPort is placed on the node.
    expect(ports).toEqual([
      { name: "health", containerPort: healthPort, hostIP: "127.0.0.1", protocol: "TCP" },
    ]);
  });

  it.each([true, false])("learns where it is from its environment, with rbac.create %s", async (create) => {
    const manifests = await render({ values: oneAddress({}, { rbac: { create } }) });
    expect(container(manifests).env).toEqual([
      { name: "NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
      { name: "POD_NAMESPACE", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
      { name: "DAEMONSET_NAME", value: only(manifests, "DaemonSet").metadata.name },
      { name: "INSTALLATION_NAME", value: only(manifests, "ConfigMap").metadata.name },
    ]);
  });

  const digest = `sha256:${"0123456789abcdef".repeat(4)}`;

  it.each([
    [{}, `magic-ip-address-agent:${packageJson.version}`],
    [{ tag: "1.2" }, "magic-ip-address-agent:1.2"],
    [
      { repository: "registry.example:5000/mip/agent" },
      `registry.example:5000/mip/agent:${packageJson.version}`,
    ],
    [{ digest }, `magic-ip-address-agent@${digest}`],
    [{ tag: "1.2", digest }, `magic-ip-address-agent:1.2@${digest}`],
  ])("runs, for the image %j, %s", async (image, expected) => {
    expect(container(await render({ values: oneAddress({}, { image }) })).image).toBe(expected);
  });

  it("keeps its selector's labels, whatever labels are added", async () => {
    const podLabels = { team: "a", "app.kubernetes.io/name": "b" };
    const daemonSet = only(await render({ values: oneAddress({}, { podLabels }) }), "DaemonSet");
    expect(daemonSet.spec.template.metadata.labels).toEqual({
      team: "a",
      ...daemonSet.spec.selector.matchLabels,
    });
  });
});

describe("the startup taint", () => {
  const manifestsWith = (others: object) =>
    render({ values: oneAddress({}, { startupTaint: true, ...others }) });
  const clusterWide = (manifests: Manifest[]) =>
    manifests.filter(({ metadata }) => metadata.namespace === undefined).map(({ kind }) => kind);

  it("is no business of the agent's unless told so: nothing is cluster-wide", async () => {
    expect(clusterWide(await render({ values: oneAddress() }))).toEqual([]);
  });

  it("takes the right to get and patch nodes, and a policy that refuses what it cannot judge", async () => {
    const manifests = await manifestsWith({});
    expect(only(manifests, "ClusterRole").rules).toEqual([
      { apiGroups: [""], resources: ["nodes"], verbs: ["get", "patch"] },
    ]);
    const policy = only(manifests, "ValidatingAdmissionPolicy");
    expect(policy.spec.failurePolicy).toBe("Fail");
    expect(policy.spec.matchConditions[0].expression).toBe(
      'request.userInfo.username == "system:serviceaccount:kube-system:mip-magic-ip-address"',
    );
    expect(only(manifests, "ValidatingAdmissionPolicyBinding").spec).toEqual({
      policyName: policy.metadata.name,
      validationActions: ["Deny"],
    });
  });

  it("gives no right before the policy is in force", async () => {
    const manifests = await manifestsWith({});
    const binding = only(manifests, "ValidatingAdmissionPolicyBinding").metadata.name;
    for (const kind of ["ClusterRole", "ClusterRoleBinding"])
      expect(only(manifests, kind).metadata.annotations["config.kubernetes.io/depends-on"]).toBe(
        `admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding/${binding}`,
      );
  });

  it("keeps the rights to others where they are given by others", async () => {
    const kinds = clusterWide(await manifestsWith({ rbac: { create: false } }));
    expect(kinds).toEqual(["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]);
  });

  it("does not keep the agent itself from a node, whatever it tolerates besides", async () => {
    const own = { key: "magic-ip-address/agent-not-ready", operator: "Exists" };
    expect(podSpec(await manifestsWith({ tolerations: [{ key: "a" }] })).tolerations).toEqual([
      { key: "a" },
      own,
    ]);
    expect(podSpec(await manifestsWith({ tolerations: [] })).tolerations).toEqual([own]);
  });
});

describe("the rights", () => {
  it("are namespaced: pods in each namespace with targets, once, and in its own the DaemonSet and events", async () => {
    const manifests = await render({ values: twoAddresses });
    const roles = manifests.filter(({ kind }) => kind === "Role");
    expect(roles.map(({ metadata, rules }) => [metadata.namespace, metadata.name, rules])).toEqual([
      [
        "kube-system",
        "mip-magic-ip-address",
        [
          {
            apiGroups: ["apps"],
            resources: ["daemonsets"],
            resourceNames: [only(manifests, "DaemonSet").metadata.name],
            verbs: ["get"],
          },
          {
            apiGroups: [""],
            resources: ["configmaps"],
            resourceNames: [only(manifests, "ConfigMap").metadata.name],
            verbs: ["get", "watch"],
          },
          {
            apiGroups: [""],
            resources: ["namespaces"],
            resourceNames: [only(manifests, "ConfigMap").metadata.namespace],
            verbs: ["get"],
          },
          { apiGroups: [""], resources: ["events"], verbs: ["create"] },
        ],
      ],
      ...["default", "monitoring"].map((namespace) => [
        namespace,
        "mip-magic-ip-address.kube-system",
        [{ apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"] }],
      ]),
    ]);
    expect(manifests.filter(({ kind }) => kind.startsWith("Cluster"))).toEqual([]);
  });

  it("have no events where they are not wanted", async () => {
    const manifests = await render({ values: oneAddress({}, { rbac: { events: false } }) });
    const resources = manifests.flatMap(({ rules }) => (rules as { resources: string[] }[]) ?? []);
    expect(resources.flatMap((rule) => rule.resources).sort()).toEqual([
      ...["configmaps", "daemonsets", "namespaces", "pods"],
    ]);
  });

  it("go to the account that the pods run under", async () => {
    const manifests = await render({ values: twoAddresses });
    const account = {
      kind: "ServiceAccount",
      name: podSpec(manifests).serviceAccountName,
      namespace: "kube-system",
    };
    const bindings = manifests.filter(({ kind }) => kind === "RoleBinding");
    expect(bindings.map(({ subjects }) => subjects)).toEqual([[account], [account], [account]]);
    expect(bindings.map(({ roleRef, metadata }) => roleRef.name === metadata.name)).toEqual([
      true,
      true,
      true,
    ]);
    expect(only(manifests, "ServiceAccount").metadata.name).toBe(account.name);
  });

  it("are left to others when told so", async () => {
    const values = oneAddress(
      {},
      { rbac: { create: false }, serviceAccount: { create: false, name: "theirs" } },
    );
    const manifests = await render({ values });
    expect(manifests.map(({ kind }) => kind).sort()).toEqual(["ConfigMap", "DaemonSet"]);
    expect(podSpec(manifests).serviceAccountName).toBe("theirs");
  });
});

describe("the installation's ConfigMap", () => {
  it("keeps its name when the DaemonSet gets another one, whose name it holds then", async () => {
    const markOf = async (values: object) => {
      const mark = only(await render({ values: oneAddress({}, values) }), "ConfigMap");
      return [mark.metadata.name, mark.data.daemonSet];
    };
    expect(await markOf({})).toEqual(["mip.magic-ip-address", "mip-magic-ip-address"]);
    expect(await markOf({ fullnameOverride: "other" })).toEqual(["mip.magic-ip-address", "other"]);
  });
});

/** A reference to an object as pulumi-kubernetes and cli-utils write it. */
function reference({ apiVersion, kind, metadata }: Manifest): string {
  const group = apiVersion.includes("/") ? apiVersion.split("/")[0] : "";
  return `${group}/namespaces/${metadata.namespace}/${kind}/${metadata.name}`;
}

describe("the order", () => {
  const dependsOn = (manifests: Manifest[]) =>
    only(manifests, "DaemonSet").metadata.annotations["config.kubernetes.io/depends-on"]?.split(",").sort();

  it("has the DaemonSet after everything else, and so before it on the way out", async () => {
    const manifests = await render({ values: twoAddresses });
    const others = manifests.filter(({ kind }) => kind !== "DaemonSet");
    expect(dependsOn(manifests)).toEqual(others.map(reference).sort());
  });

  it("names nothing that is not there", async () => {
    const values = oneAddress({}, { rbac: { create: false }, serviceAccount: { create: false } });
    const manifests = await render({ values });
    expect(dependsOn(manifests)).toEqual([reference(only(manifests, "ConfigMap"))]);
  });

  it("stays when annotations are added", async () => {
    const daemonSetAnnotations = { "pulumi.com/timeoutSeconds": "1800" };
    const { metadata } = only(
      await render({ values: oneAddress({}, { daemonSetAnnotations }) }),
      "DaemonSet",
    );
    expect(metadata.annotations).toMatchObject(daemonSetAnnotations);
    expect(metadata.annotations["config.kubernetes.io/depends-on"]).toContain("ServiceAccount");
  });
});

describe("two releases", () => {
  const identities = (manifests: Manifest[]) => manifests.map((each) => reference(each));

  it.each([
    ["with two names in one namespace", { name: "one" }, { name: "two" }],
    ["with one name in two namespaces", { namespace: "left" }, { namespace: "right" }],
  ])("%s share no object, instance or health port", async (_, first, second) => {
    const [a, b] = [
      await render({ values: twoAddresses, ...first }),
      await render({ values: twoAddresses, ...second }),
    ];
    expect(identities(a).filter((identity) => identities(b).includes(identity))).toEqual([]);
    expect(config(a).instance).not.toBe(config(b).instance);
    expect(config(a).healthPort).not.toBe(config(b).healthPort);
  });

  it("under aliases of one chart share none either", async () => {
    const names = ["dd", "zip"];
    const dependencies = names.map((alias) => ({
      ...{ name: "magic-ip-address", version: packageJson.version, alias },
    }));
    const parent = await mkdtemp(join(tmpdir(), "magic-ip-"));
    await cp(chart, join(parent, "charts/magic-ip-address"), { recursive: true });
    const metadata = { apiVersion: "v2", name: "observability", version: "1.0.0", dependencies };
    await writeFile(join(parent, "Chart.yaml"), JSON.stringify(metadata));
    const values = Object.fromEntries(
      names.map((alias) => [alias, oneAddress({ ipAddress: `169.254.210.${names.indexOf(alias)}` })]),
    );
    const manifests = await render({ chart: parent, values, name: "obs", namespace: "mon" });
    await rm(parent, { recursive: true });
    const daemonSets = manifests.filter(({ kind }) => kind === "DaemonSet");
    const configs = daemonSets.map((daemonSet) => config([daemonSet]));
    expect(configs.map(({ instance }) => instance)).toEqual(["mon.obs-dd", "mon.obs-zip"]);
    expect(new Set(configs.map(({ healthPort }) => healthPort)).size).toBe(2);
    expect(new Set(identities(manifests)).size).toBe(manifests.length);
  });

  it("get a health port from 61000 to 64999, or the one that is set", async () => {
    const derived = config(await render({ values: oneAddress() })).healthPort;
    expect(derived).toBeGreaterThanOrEqual(61000);
    expect(derived).toBeLessThan(65000);
    const manifests = await render({ values: oneAddress({}, { healthPort: 61500 }) });
    expect(config(manifests).healthPort).toBe(61500);
    expect(container(manifests).livenessProbe.httpGet.port).toBe(61500);
  });
});

describe("the notes", () => {
  it("say what leads where, and the way to the agents and off a node", async () => {
    expectGolden(new URL("./golden/notes.txt", import.meta.url), await renderNotes({ values: twoAddresses }));
  });

  it("say so where helm test has nothing to call", async () => {
    const notes = await renderNotes({ values: oneAddress({ ports: [] }) });
    expect(notes).toContain(
      "helm test has nothing to call: it calls single ports of TCP and UDP, not whole IPs",
    );
  });
});
