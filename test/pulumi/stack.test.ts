import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Provider } from "@pulumi/kubernetes/provider.js";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isLong } from "../support/long.ts";
import { MagicIpAddress, type MagicIpAddressArgs } from "../../index.ts";
import { until } from "../cluster/patience.ts";
import { ControlPlane } from "../continuity/control-plane.ts";
import { writeKubeconfig } from "./kubeconfig.ts";
import type { Step } from "./outcome.ts";
import { openStack, type Stack } from "./stack.ts";

/** What the program of a stack does next. */
let program: () => void;

const right: MagicIpAddressArgs = {
  ipAddress: "169.254.210.210",
  selector: "app=dd-agent",
  ports: [{ port: 8126 }],
};

function install(
  changes: Partial<MagicIpAddressArgs> = {},
  name = "dd-agent",
  options?: pulumi.ComponentResourceOptions,
) {
  return new MagicIpAddress(name, { ...right, ...changes }, options);
}

const unknown = <T>() => pulumi.output(pulumi.unknown) as unknown as pulumi.Output<T>;

/** `create DaemonSet`: without names. */
const inWords = (steps: Step[]) => steps.map(({ op, type }) => `${op} ${type.split(":").at(-1)}`).sort();

async function open(directory: string, kubeconfig: string): Promise<Stack> {
  return openStack({
    program: async () => program(),
    kubeconfig,
    stackName: "test",
    // Pulumi's own asks the cluster before it renders, and waits for what only controllers do.
    plugin: { kind: "stand-in" },
    stateDirectory: directory,
  });
}

describe("a preview by the real engine, of a cluster that cannot be reached", () => {
  let directory: string;
  let stack: Stack;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "magic-ip-stack-"));
    const kubeconfig = await writeKubeconfig(directory, { server: "https://127.0.0.1:1" }, { token: "none" });
    stack = await open(directory, kubeconfig);
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it("shows the component and every object of its chart, and the namespace first if it is to be made", async () => {
    program = () => install({ agent: { namespace: "infra", createNamespace: true } });
    const { changes, steps, diagnostics } = await stack.preview();
    expect(diagnostics).toBe("");
    expect(changes).toMatchObject({ updated: 0, replaced: 0, deleted: 0, same: 0 });
    const types = steps.map(({ type }) => type.split(":").at(-1));
    expect(types).toEqual(expect.arrayContaining(["MagicIpAddress", "DaemonSet"]));
    expect(types.indexOf("Namespace")).toBeGreaterThan(types.indexOf("MagicIpAddress"));
    expect(types.indexOf("Namespace")).toBeLessThan(types.indexOf("Chart"));
    expect(steps).toContainEqual({
      op: "create",
      type: "kubernetes:apps/v1:DaemonSet",
      name: "dd-agent:infra/dd-agent",
    });
  });

  it("ends with what is wrong with the arguments, and nothing else", async () => {
    program = () => install({ ports: [{ port: 70000 }] });
    await expect(stack.preview()).rejects.toThrow(
      /^pulumi preview failed:\nerror: MagicIpAddress "dd-agent" cannot be installed, .*\n {2}ports\[0\]\.port: 70000.*$/,
    );
  });

  it("tells no secret of an argument that is wrong (S10)", async () => {
    program = () =>
      install({
        ipAddress: pulumi.secret("10.11.12"),
        agent: { image: pulumi.secret("Pass:word:1"), allowedCidrs: [pulumi.secret("10.0.0.0")] },
      });
    const message = await stack.preview().catch((error: Error) => error.message);
    expect(message).toContain("ipAddress: [secret] is wrong, and not shown");
    expect(message).toContain("agent.allowedCidrs[0]: [secret] is wrong");
    expect(message).toContain("agent.image: [secret] is wrong");
    expect(message).not.toMatch(/10\.11\.12|Pass|10\.0\.0\.0/);
  });

  it("ends where values make the configuration bigger than the annotations of a pod may be", async () => {
    program = () => install({ agent: { podAnnotations: { note: "n".repeat(258_000) } } });
    await expect(stack.preview()).rejects.toThrow(
      /ports: the configuration has 258\d{3} bytes, with podAnnotations, and the annotations of an agent's pod may have 258048/,
    );
  });

  it("ends where two components claim the same, unless they may do so in different clusters", async () => {
    program = () => {
      install({}, "a");
      install({}, "elsewhere", { provider: new Provider("elsewhere", {}) });
      install({ agent: { nodeSelector: { a: unknown() } } }, "hidden");
      install({}, "b");
    };
    await expect(stack.preview()).rejects.toThrow(
      /^pulumi preview failed:\nerror: MagicIpAddress "b" cannot be installed, one argument is wrong:\n {2}ports\[0\]\.port: 169\.254\.210\.210:8126\/TCP is taken by MagicIpAddress "a", ports\[0\]\.port: a port can lead to one target only$/,
    );
  });
});

/** The DaemonSet's pods carry the configuration; the component itself is there with its arguments. */
const portChange = ["update DaemonSet", "update MagicIpAddress"];

describe("a stack on a real API server", () => {
  let plane: ControlPlane;
  let stack: Stack;
  beforeAll(async () => {
    plane = await ControlPlane.start();
    const { host, port, ca } = plane.endpoint;
    const [token = ""] = (await readFile(join(plane.directory, "tokens.csv"), "utf8")).split(",");
    const cluster = {
      server: `https://${host}:${port}`,
      "certificate-authority-data": ca.toString("base64"),
      "tls-server-name": "kubernetes",
    };
    stack = await open(plane.directory, await writeKubeconfig(plane.directory, cluster, { token }));
    await plane.send("POST", "/api/v1/namespaces", { metadata: { name: "there" } });
    program = () => install(both);
    await stack.up();
  });
  afterAll(() => plane?.remove());

  const both: Partial<MagicIpAddressArgs> = { skipAwait: true, agent: { namespace: "there" } };
  const daemonSet = (namespace: string, name: string) =>
    plane.send<{ metadata: { annotations: object; labels: object } }>(
      "GET",
      `/apis/apps/v1/namespaces/${namespace}/daemonsets/${name}`,
    );

  it("is installed into a namespace that is there, without waiting for agents", async () => {
    expect((await daemonSet("there", "dd-agent")).metadata.annotations).toMatchObject({
      "pulumi.com/skipAwait": "true",
    });
  });

  it("shows, of a change of a port, the DaemonSet changing and nothing else", async () => {
    program = () => install({ ...both, ports: [{ port: 8127 }] });
    expect(inWords((await stack.preview()).steps)).toEqual(portChange);
  });

  it("shows the same while the port, and more, is not known", async () => {
    program = () =>
      install({ ...both, selector: unknown(), ports: [{ port: unknown() }], values: unknown() });
    expect(inWords((await stack.preview()).steps)).toEqual(portChange);
  });

  it("may be moved under another component, with an alias", async () => {
    program = () => {
      const parent = new pulumi.ComponentResource("test:index:Group", "group");
      install(both, "dd-agent", { parent, aliases: [{ parent: pulumi.rootStackResource }] });
    };
    expect(inWords((await stack.preview()).steps)).toEqual(["create Group"]);
  });

  const waiting = (name: string, [namespace, old]: [string, string]) =>
    `warning: MagicIpAddress "${name}" does not wait for its agents in this update: they are ready when the DaemonSet ${namespace}/${old}, which is no more in the program and has the same IP, is deleted at the end. The next update waits`;

  it("says that it does not wait where only the agent's namespace is another (S9)", async () => {
    program = () => install({ agent: { namespace: "kube-system" } });
    expect((await stack.preview()).diagnostics).toBe(waiting("dd-agent", ["there", "dd-agent"]));
    program = () => install({ ipAddress: "169.254.210.211", agent: { namespace: "kube-system" } });
    expect((await stack.preview()).diagnostics).toBe("");
  });

  /** The component's name. */
  let installed = "dd-agent";
  const long = isLong ? it : () => {};
  // Its short form is continuity/renamed, with the agents alone.
  long(
    "is finished where a component gets another name, and waits for agents again in the next update (S9)",
    async () => {
      program = () => install({ agent: { namespace: "there" } }, "renamed");
      const { diagnostics } = await collectGarbage(["there", "default"], stack.up());
      installed = "renamed";
      expect(diagnostics).toBe(waiting("renamed", ["there", "dd-agent"]));
      expect((await daemonSet("there", "renamed")).metadata.annotations).toMatchObject({
        "pulumi.com/skipAwait": "true",
      });
      const next = await stack.preview();
      expect(next.diagnostics).toBe("");
      expect(inWords(next.steps)).toContain("update DaemonSet");
      program = () => install(both, "renamed");
      expect(inWords((await stack.preview()).steps)).not.toContain("update DaemonSet");
    },
    180_000,
  );

  /** Does what a cluster's garbage collector does for what is deleted, and of which there is none here, until the work is done. */
  async function collectGarbage<T>(namespaces: string[], work: Promise<T>): Promise<T> {
    const groups = ["/api/v1", "/apis/apps/v1", "/apis/rbac.authorization.k8s.io/v1"];
    const kinds = [["configmaps", "serviceaccounts"], ["daemonsets"], ["roles", "rolebindings"]];
    const lists = namespaces.flatMap((namespace) =>
      groups.flatMap((group, index) =>
        (kinds[index] ?? []).map((kind) => `${group}/namespaces/${namespace}/${kind}`),
      ),
    );
    let isDone = false;
    const done = work.finally(() => (isDone = true));
    const look = async () => {
      for (const list of lists) {
        const { items } = await plane.send<{ items: { metadata: Deleted }[] }>("GET", list);
        for (const { metadata } of items) {
          if (metadata.deletionTimestamp !== undefined)
            await plane.send("PATCH", `${list}/${metadata.name}`, { metadata: { finalizers: null } });
        }
      }
      return isDone;
    };
    await until({ what: "the update", seconds: 150 }, look);
    return done;
  }

  interface Deleted {
    name: string;
    deletionTimestamp?: string;
  }

  it("hands transforms, provider, protection and timeouts on to every object, and is not changed by a second up", async () => {
    const transform: pulumi.ResourceTransform = ({ type, props, opts }) =>
      type === "kubernetes:apps/v1:DaemonSet"
        ? { props: { ...props, metadata: { ...props.metadata, labels: { team: "a" } } }, opts }
        : undefined;
    program = () => {
      install(both, installed);
      const provider = new Provider("mine", {});
      const agent = { namespace: "own", createNamespace: true };
      const args = { ipAddress: "169.254.210.211", skipAwait: true, agent };
      const customTimeouts = { create: "20m", delete: "1m" };
      install(args, "second", { provider, protect: true, transforms: [transform], customTimeouts });
    };
    await stack.up();
    expect((await daemonSet("own", "second")).metadata.labels).toEqual({ team: "a" });
    expect(await plane.send("GET", "/api/v1/namespaces/own")).toMatchObject({
      metadata: { labels: { "pod-security.kubernetes.io/enforce": "privileged" } },
    });
    const objects = (await stack.state()).filter(
      ({ urn, type }) => /^kubernetes:(?!helm)/.test(type) && urn.includes("second"),
    );
    expect(objects.length).toBeGreaterThan(5);
    for (const { urn, protect, provider, customTimeouts } of objects) {
      expect({ urn, protect, provider, customTimeouts }).toEqual({
        urn,
        protect: true,
        customTimeouts: { create: 1200, delete: 60 },
        provider: expect.stringContaining("::mine::"),
      });
    }
    expect((await stack.up()).steps).toEqual([]);
  });
});
