import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { configFromEnvironment, parseConfig } from "../../agent/config.ts";
import { type Manifest, only, render } from "../chart/render.ts";

const file = new URL("../../agent/static-manifest.yaml", import.meta.url);
const manifest = await readFile(file, "utf8");
const documents = parseAllDocuments(manifest);
const objects = documents.map((document) => document.toJS() as Manifest);
const configText = objects.find(({ kind }) => kind === "ConfigMap")?.data["config.yaml"] as string;

/** What makes an object what it is: without labels, annotations and the configuration's hash. */
function essence({ kind, metadata, data: _, immutable: __, ...rest }: Manifest) {
  const text = JSON.stringify({ kind, name: metadata.name, namespace: metadata.namespace, ...rest });
  return JSON.parse(text.replaceAll(/magic-ip-[0-9a-f]{10}/g, "magic-ip")) as object;
}

const byName = (list: object[]) => list.map((each) => JSON.stringify(each)).sort();

describe("the static manifest", () => {
  it("is what the chart renders for the same addresses", async () => {
    const { addresses } = parse(configText) as { addresses: unknown };
    const values = { addresses, healthPort: 62839, fullnameOverride: "magic-ip" };
    const rendered = await render({ values, name: "magic-ip" });
    expect(objects.length).toBe(8);
    for (const [index, object] of objects.map(essence).entries()) {
      const { kind, name, namespace } = object as { kind: string; name: string; namespace: string };
      const same = rendered
        .map(essence)
        .find((each) => JSON.stringify([kind, name, namespace]) === JSON.stringify(identity(each)));
      expect(same, `${kind} ${namespace}/${name} (document ${index + 1})`).toEqual(object);
    }
    expect(byName(rendered.map(essence).map(identity))).toEqual(byName(objects.map(essence).map(identity)));
  });

  it("marks every line that has to change", () => {
    const [{ ipAddress, namespace, selector }] = parse(configText).addresses;
    const { image } = only(objects, "DaemonSet").spec.template.spec.containers[0];
    const isTheirs = (line: string) =>
      [ipAddress, namespace, selector, image].some((value) => line.split(" #")[0]?.endsWith(` ${value}`));
    const lines = manifest.split("\n").filter((line) => isTheirs(line) || line.trim().startsWith("ports:"));
    expect(lines.map((line) => / # (\d)\. \w/.exec(line)?.[1])).toEqual(["1", "2", "3", "4", "2", "2", "5"]);
  });

  it("has a configuration that the agent takes", () => {
    const config = parseConfig(configText, "static-manifest.yaml");
    expect(config).toMatchObject({ instance: "kube-system.magic-ip", healthPort: 62839 });
    expect(config.addresses[0]?.ports.map(({ port, protocol }) => `${port}/${protocol}`)).toEqual([
      "8126/tcp",
      "8125/udp",
    ]);
  });
});

describe("the environment of the README's `docker run`", () => {
  it("is a configuration that the agent takes", async () => {
    const readme = await readFile(new URL("../../agent/README.md", import.meta.url), "utf8");
    const [, command = ""] = /^docker run ([\s\S]*?)\n```/m.exec(readme) ?? [];
    const environment = [...command.matchAll(/--env (\w+)=(\S+)/g)].map(([, name, value]) => [name, value]);
    const { addresses } = configFromEnvironment(Object.fromEntries(environment));
    expect(addresses).toMatchObject([{ ipAddresses: ["169.254.210.210"], selector: "app=dd-agent" }]);
    // The second to read a kubeconfig that is for its owner alone.
    expect(command).toContain("--cap-add NET_ADMIN --cap-add DAC_READ_SEARCH");
  });
});

function identity(object: object): string[] {
  const { kind, name, namespace } = object as { kind: string; name: string; namespace: string };
  return [kind, name, namespace];
}
