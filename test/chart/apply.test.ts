import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runKubectl } from "../cluster/kubectl.ts";
import { ControlPlane } from "../continuity/control-plane.ts";
import { writeKubeconfig } from "../pulumi/kubeconfig.ts";
import { isLong } from "../support/long.ts";
import { configText, oneAddress, only, render, renderText } from "./render.ts";

let plane: ControlPlane;
let kubeconfig: string;
const kubectl = (args: string, input = "") => runKubectl(kubeconfig, args.split(" "), input);

beforeAll(async () => {
  plane = await ControlPlane.start();
  const { host, port, ca } = plane.endpoint;
  const [token = ""] = (await readFile(join(plane.directory, "tokens.csv"), "utf8")).split(",");
  const server = `https://${host}:${port}`;
  const authority = ca.toString("base64");
  const cluster = {
    ...{ server, "tls-server-name": "kubernetes" },
    "certificate-authority-data": authority,
  };
  kubeconfig = await writeKubeconfig(plane.directory, cluster, { token });
  await kubectl("create namespace monitoring");
});
afterAll(() => plane?.remove());

const address = { ipAddress: "169.254.210.210", selector: "app=a", ports: [{ port: 8126 }] };
const other = { ...address, ipAddress: "169.254.210.211", namespace: "monitoring" };

/** What a user of helm template applies one after the other. */
const changes = [
  { addresses: [address, other] },
  {
    addresses: [
      { ...address, ports: [{ port: 8127 }] },
      { ...other, selector: "app=b" },
    ],
  },
  { addresses: [address], image: { repository: "registry.example/agent", tag: "2" }, verbose: true },
];

describe("helm template | kubectl apply", () => {
  const inClient = ["in the client", "client", "apply -f -"] as const;
  const inServer = ["in the server", "server", "apply --server-side -f -"] as const;
  it.each(isLong ? [inClient, inServer] : [inClient])(
    "%s takes changed and removed addresses, helm test's pod included",
    async (_, name, command) => {
      for (const values of changes) {
        const text = await renderText({ values, name });
        const said = await kubectl(command, text);
        expect(said).toMatch(
          new RegExp(`pod/${name}-magic-ip-address-test (created|configured|serverside-applied)`),
        );
        expect(await configOf(name)).toBe(configText(await render({ values, name })));
      }
    },
  );

  it("with labels that kustomize adds, too", async () => {
    const directory = join(plane.directory, "kustomized");
    await mkdir(directory);
    const labels = [{ pairs: { team: "a" }, includeTemplates: true }];
    const kustomization = { resources: ["all.yaml"], labels };
    await writeFile(join(directory, "kustomization.yaml"), JSON.stringify(kustomization));
    for (const values of changes) {
      await writeFile(join(directory, "all.yaml"), await renderText({ values, name: "labelled" }));
      await kubectl(`apply -k ${directory}`);
      expect(await configOf("labelled")).toBe(configText(await render({ values, name: "labelled" })));
    }
  });

  /** What the DaemonSet's pods get, and the pod of helm test has: the same. */
  async function configOf(release: string): Promise<string> {
    const annotation = "metadata.annotations.magic-ip-address/config";
    const [daemonSet, pod] = await Promise.all([
      kubectl(
        `get daemonset/${release}-magic-ip-address -n kube-system -o jsonpath={.spec.template.${annotation}}`,
      ),
      kubectl(`get pod/${release}-magic-ip-address-test -n kube-system -o jsonpath={.${annotation}}`),
    ]);
    expect(pod).toBe(daemonSet);
    return daemonSet;
  }
});

describe("the size of a pod's annotations", () => {
  it("is what the API server says: 262,144 bytes of keys and values", async () => {
    const daemonSet = only(await render({ values: oneAddress(), name: "big" }), "DaemonSet");
    const { annotations } = daemonSet.spec.template.metadata;
    const used = Object.entries<string>(annotations).reduce((sum, entry) => sum + entry.join("").length, 0);
    const withBytes = (bytes: number) => {
      annotations.note = "n".repeat(bytes - used - "note".length);
      return kubectl("apply --server-side --dry-run=server -f -", JSON.stringify(daemonSet));
    };
    expect(await withBytes(262_144)).toContain("serverside-applied");
    await expect(withBytes(262_145)).rejects.toThrow("Too long: may not be more than 262144 bytes");
  });

  // The numbers of the chart's README.
  it.each([
    [2_000, 1, "created"],
    [2_100, 1, "Too long"],
    [900, 10, "created"],
    [1_000, 10, "Too long"],
  ])("lets kubectl keep its copy of %i addresses with %i ports: %s", async (count, ports, said) => {
    const daemonSet = only(await render({ values: oneAddress(), name: "big" }), "DaemonSet");
    const { annotations } = daemonSet.spec.template.metadata;
    const config = JSON.parse(annotations["magic-ip-address/config"]) as object;
    annotations["magic-ip-address/config"] = JSON.stringify({ ...config, addresses: many(count, ports) });
    const manifest = JSON.stringify(daemonSet);
    const refusal = ({ message }: Error) => message;
    expect(await kubectl("apply --dry-run=server -f -", manifest).catch(refusal)).toContain(said);
    const inServer = kubectl("apply --server-side --dry-run=server -f -", manifest);
    expect(await inServer).toContain("serverside-applied");
  });
});

function many(addresses: number, ports: number): object[] {
  return Array.from({ length: addresses }, (_, i) => ({
    ipAddress: `10.210.${i >> 8}.${i & 255}`,
    selector: `app=service-${i}`,
    namespace: "monitoring",
    ports: Array.from({ length: ports }, (_, j) => ({ port: 8000 + j })),
  }));
}
