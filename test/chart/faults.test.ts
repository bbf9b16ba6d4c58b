import { globSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { chartFaults, helm, chart, oneAddress, render } from "./render.ts";

const faultsWith = (others: object, address: object = {}, release: object = {}) =>
  chartFaults({ values: oneAddress(address, others), ...release });

describe("wrong values", () => {
  it("are said all at once, each with its path, whatever they are of", async () => {
    const address = { ipAddress: "169.254.169.254", ports: [{ port: 0 }] };
    const others = { backend: "ipvs", image: { tag: "a b" }, podMonitor: { enabled: true }, enabled: false };
    expect(await faultsWith(others, address)).toEqual([
      'backend: "ipvs" is not known: write auto, nftables or iptables',
      'image.tag: "a b" is no tag: at most 128 letters, digits, "_", "." and "-", as 1.2.3',
      "podMonitor.enabled: Prometheus cannot reach the agents on their loopback: set metricsPort too, as 9091",
      "enabled: false has no effect here: it is for a chart that has this one as a dependency with condition enabled; leave it out, or do not install this chart",
      "addresses[0].ipAddress: 169.254.169.254 is reserved for the cloud's instance metadata service: choose another, as 169.254.210.210",
      "addresses[0].ports[0].port: 0 is not a port: write a whole number from 1 to 65535",
    ]);
  });

  it("are the end of helm template and helm install, with a count", async () => {
    for (const command of [["template"], ["install", "--dry-run=client"]]) {
      const { exitCode, stderr } = await helm(
        [...command, "mip", chart, "--values", "-"],
        oneAddress({ ipAddress: "::1" }),
      );
      expect(exitCode).toBe(1);
      expect(stderr).toContain(
        "magic-ip-address cannot be installed, one value is wrong:\n  addresses[0].ipAddress: ::1 is",
      );
    }
    await expect(render({ values: {} })).rejects.toThrow(
      "one value is wrong:\n  addresses: is empty: at least one address is needed",
    );
  });

  it("show no pattern, and no name of a template's function", async () => {
    const all = {
      healthPort: 0,
      metricsPort: 1.5,
      pollInterval: -1,
      allowedCidrs: ["a"],
      nameOverride: "A",
      fullnameOverride: "A_",
    };
    const image = { repository: "A", tag: "a b", digest: "sha256:1" };
    const faults = await faultsWith({
      ...all,
      image,
      tests: { image: "A:", wait: "1" },
      podMonitor: { interval: "1 m" },
    });
    expect(faults.length).toBe(12);
    expect(faults.filter((fault) => /[\^$\\{}]|regex|include|nil/.test(fault))).toEqual([]);
  });

  it("do not hide what a subchart is for: words of an umbrella chart are let in", async () => {
    await expect(
      render({ values: oneAddress({}, { global: { a: 1 }, enabled: true }) }),
    ).resolves.toBeDefined();
  });
});

describe("values that only the chart has", () => {
  it.each([
    [
      "a name in capitals",
      { nameOverride: "Dd" },
      'nameOverride: "Dd" cannot name an object: at most 63 lower-case letters, digits and "-", as dd-agent',
    ],
    [
      "a name with an underscore",
      { fullnameOverride: "dd_agent" },
      'fullnameOverride: "dd_agent" cannot name an object: at most 63 lower-case letters, digits and "-", as dd-agent',
    ],
    [
      "a repository with its tag",
      { image: { repository: "registry:5000/a/agent:1.2" } },
      'image.repository: "registry:5000/a/agent:1.2" is no repository: write [registry[:port]/]repository, as registry.example:5000/magic-ip-address-agent, and a tag in image.tag',
    ],
    [
      "a digest that is cut",
      { image: { digest: "sha256:12" } },
      'image.digest: "sha256:12" is no digest: write sha256: and 64 hexadecimal digits',
    ],
    [
      "an image for tests with two tags",
      { tests: { image: "a:1:2" } },
      'tests.image: "a:1:2" is no image: write repository[:tag][@sha256:digest], as magic-ip-address-agent:0.1.0',
    ],
    [
      "a time without a unit",
      { tests: { wait: "60" } },
      'tests.wait: "60" is no time: write a whole number with its unit, as 30s or 2m',
    ],
    [
      "another time without a unit",
      { podMonitor: { interval: "30" } },
      'podMonitor.interval: "30" is no time: write whole numbers with their units, each once and the bigger first, as 30s, 1m30s or 1d',
    ],
    [
      "a time with its smaller unit first (N5)",
      { podMonitor: { interval: "30s1m" } },
      'podMonitor.interval: "30s1m" is no time: write whole numbers with their units, each once and the bigger first, as 30s, 1m30s or 1d',
    ],
    [
      "a pull secret with a blank in its name (N6)",
      { imagePullSecrets: [{ name: "a b" }] },
      'imagePullSecrets[0].name: "a b" cannot name a Secret: at most 253 lower-case letters, digits, "-" and ".", as my-registry',
    ],
    [
      "an account in capitals (N6)",
      { serviceAccount: { name: "UPPER" } },
      'serviceAccount.name: "UPPER" cannot name a ServiceAccount: at most 253 lower-case letters, digits, "-" and ".", as dd-agent',
    ],
    [
      "rights for the account that all pods have (N18)",
      { serviceAccount: { create: false } },
      "serviceAccount.name: is missing beside serviceAccount.create false: the agent's rights would be those of the account default, which every pod of the namespace has that names none: write the name of another account, or set rbac.create to false",
    ],
    [
      "the same by its name (H40)",
      { serviceAccount: { create: false, name: "default" } },
      "serviceAccount.name: is default: the agent's rights would be those of the account default, which every pod of the namespace has that names none: write the name of another account, or set rbac.create to false",
    ],
    [
      "a priority class of 254 letters (N6)",
      { priorityClassName: "a".repeat(254) },
      `priorityClassName: "${"a".repeat(254)}" cannot name a PriorityClass: at most 253 lower-case letters, digits, "-" and ".", as system-node-critical`,
    ],
    [
      "a pull secret without a name",
      { imagePullSecrets: [{}] },
      "imagePullSecrets[0].name: is missing: write the name of a Secret, as my-registry",
    ],
    [
      "0 nodes at a time",
      { updateStrategy: { rollingUpdate: { maxUnavailable: 0 } } },
      "updateStrategy.rollingUpdate.maxUnavailable: 0 is no number of nodes: write one, from 1, or a share of them, as 10%",
    ],
  ])("are refused: %s", async (_, others, fault) => {
    expect(await faultsWith(others)).toEqual([fault]);
  });

  it("are refused: targets in more namespaces than the DaemonSet's annotations can name (N4)", async () => {
    const addresses = Array.from({ length: 1000 }, (_, index) => ({
      ...{ ipAddress: `10.1.${index >> 8}.${index & 255}`, selector: "a=b" },
      namespace: `${index}`.padStart(63, "n"),
    }));
    expect(await chartFaults({ values: { addresses: addresses.slice(0, 900) } })).toEqual([]);
    expect(await chartFaults({ values: { addresses } })).toEqual([
      expect.stringMatching(
        /^addresses: have their targets in 1000 namespaces, .* take 2\d{5} bytes of 262144: split/,
      ),
    ]);
  });

  it("are refused: a quota for no class", async () => {
    const others = { resourceQuota: { enabled: true }, priorityClassName: "" };
    expect(await faultsWith(others, {}, { namespace: "observability" })).toEqual([
      "resourceQuota.enabled: there is no priorityClassName that it could be for: set one, as system-node-critical",
    ]);
    expect(await faultsWith(others)).toEqual([]);
  });

  it.each([
    {
      image: {
        repository: "registry.example:5000/a_b/agent",
        tag: "v1_2.3-x",
        digest: `sha256:${"0a".repeat(32)}`,
      },
    },
    { tests: { image: `registry.example/a:1@sha256:${"0a".repeat(32)}`, wait: "500ms" } },
    { podMonitor: { interval: "1m30s" } },
    { podMonitor: { interval: "1w2d500ms" } },
    { podMonitor: { interval: "0" } },
    { serviceAccount: { name: "a.b-c" }, priorityClassName: "", imagePullSecrets: [{ name: "a.b" }] },
    { updateStrategy: { rollingUpdate: { maxUnavailable: 5 } } },
    { updateStrategy: { rollingUpdate: { maxUnavailable: "100%" } } },
    { updateStrategy: { type: "OnDelete", rollingUpdate: null } },
  ])("are taken: %j", async (others) => {
    expect(await faultsWith(others)).toEqual([]);
  });
});

describe("the chart's README", () => {
  it.each([
    "cannot be installed, ",
    "is empty: at least one address is needed",
    "is reserved for ",
    "is taken by ",
    "needs 1.30: leave it out",
    "Prometheus cannot reach the agents on their loopback",
    "the cluster has no monitoring.coreos.com/v1/PodMonitor",
    "is the healthPort: choose another",
  ])("names the message as it is: %s", (message) => {
    const templates = globSync(`${chart}/templates/*.tpl`).map((file) => readFileSync(file, "utf8"));
    const [, section = ""] = readFileSync(`${chart}/README.md`, "utf8").split("## Troubleshooting");
    expect([templates.some((text) => text.includes(message)), section.includes(message)]).toEqual([
      true,
      true,
    ]);
  });
});
