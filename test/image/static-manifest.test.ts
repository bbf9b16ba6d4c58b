import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { configFromEnvironment, parseConfig } from "../../agent/config/config.ts";
import { configText, type Manifest, only, render } from "../chart/render.ts";

const file = new URL("../../agent/static-manifest.yaml", import.meta.url);
const manifest = await readFile(file, "utf8");
const documents = parseAllDocuments(manifest);
const objects = documents.map((document) => document.toJS() as Manifest);
const config = configText(objects);

/** What makes an object what it is: without labels and annotations, of which one is the configuration. */
function essence({ kind, metadata, ...rest }: Manifest) {
  const whole = { kind, name: metadata.name, namespace: metadata.namespace, ...rest };
  const isAnnotations = (key: string) => key === "annotations";
  return JSON.parse(
    JSON.stringify(whole, (key, value: unknown) => (isAnnotations(key) ? undefined : value)),
  ) as object;
}

const byName = (list: object[]) => list.map((each) => JSON.stringify(each)).sort();

describe("the static manifest", () => {
  it("is what the chart renders for the same addresses", async () => {
    const { addresses } = parse(config) as { addresses: unknown };
    const values = { addresses, healthPort: 62839, fullnameOverride: "magic-ip" };
    const rendered = await render({ values, name: "magic-ip" });
    expect(objects.length).toBe(7);
    expect(parseConfig(config)).toEqual(parseConfig(configText(rendered)));
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
    const [{ ipAddress, namespace, selector }] = parse(config).addresses;
    const { image } = only(objects, "DaemonSet").spec.template.spec.containers[0];
    const isTheirs = (line: string) =>
      [ipAddress, namespace, selector, image].some((value) => line.split(" #")[0]?.endsWith(` ${value}`));
    const lines = manifest.split("\n").filter((line) => isTheirs(line) || line.trim().startsWith("ports: #"));
    expect(lines.map((line) => / # (\d)\. \w/.exec(line)?.[1])).toEqual(["2", "2", "1", "2", "3", "4", "5"]);
  });

  it("has a configuration that the agent takes", () => {
    const { addresses, ...others } = parseConfig(config, "static-manifest.yaml");
    expect(others).toMatchObject({ instance: "kube-system.magic-ip", healthPort: 62839 });
    expect(addresses[0]?.ports.map(({ port, protocol }) => `${port}/${protocol}`)).toEqual([
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
