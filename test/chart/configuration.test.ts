import { describe, expect, it } from "vitest";
import { parseConfig } from "../../agent/config/config.ts";
import { ANNOTATION_LIMIT } from "../../component/configSize.ts";
import { configText, type Manifest, oneAddress, only, render } from "./render.ts";

const templateOf = (manifests: Manifest[]) => only(manifests, "DaemonSet").spec.template;

describe("a configuration", () => {
  it("is in the pods' template, which changes with it and with nothing else", async () => {
    const of = async (values: object) => configText(await render({ values }));
    const first = await of(oneAddress());
    expect(await of(oneAddress({}, { podLabels: { not: "config" } }))).toBe(first);
    expect(await of(oneAddress({ ports: [{ port: 8127 }] }))).not.toBe(first);
    expect(await of(oneAddress({}, { verbose: true }))).not.toBe(first);
  });

  it("is what each pod mounts of its own annotations, and no object that could be deleted", async () => {
    const manifests = await render({ values: oneAddress() });
    const { volumes, containers } = templateOf(manifests).spec;
    const fieldRef = { fieldPath: "metadata.annotations['magic-ip-address/config']" };
    expect(volumes).toEqual([
      { name: "config", downwardAPI: { items: [{ path: "config.yaml", fieldRef }] } },
    ]);
    expect(containers[0].volumeMounts).toEqual([
      { name: "config", mountPath: "/etc/magic-ip-address", readOnly: true },
    ]);
    expect(containers[0].args).toEqual(["run", "--config", "/etc/magic-ip-address/config.yaml"]);
    // The one that there is names the DaemonSet, and pods do without it.
    expect(only(manifests, "ConfigMap").data).toEqual({ daemonSet: "mip-magic-ip-address" });
  });

  it("has whole numbers also where Pulumi gives floats", async () => {
    const values = JSON.stringify(oneAddress({ ports: [{ port: 8126 }] })).replace("8126", "8.126e3");
    expect(configText(await render({ values }))).toContain('"ports":[{"port":8126}]');
    const twice = values.replace('[{"port":8.126e3}]', '[{"port":8126.0},{"port":8.126e3}]');
    await expect(render({ values: twice })).rejects.toThrow("169.254.210.210:8126/TCP is taken");
  });

  it("stands beside other annotations, which cannot take its place", async () => {
    const withAnnotations = (podAnnotations: object) =>
      render({ values: oneAddress({}, { podAnnotations }) });
    const manifests = await withAnnotations({ team: "a" });
    expect(templateOf(manifests).metadata.annotations).toEqual({
      team: "a",
      "magic-ip-address/config": configText(await render({ values: oneAddress() })),
    });
    await expect(withAnnotations({ "magic-ip-address/config": "mine" })).rejects.toThrow(
      "podAnnotations.magic-ip-address/config: the chart writes the agent's configuration into this annotation: leave it out, and set addresses",
    );
  });
});

/** The bytes that the API server counts. */
function sizeOf(manifests: Manifest[]): number {
  const annotations = Object.entries<string>(templateOf(manifests).metadata.annotations);
  return annotations.reduce((sum, [key, value]) => sum + Buffer.byteLength(key + value), 0);
}

describe("a configuration's size", () => {
  it("is counted with the other annotations, to the byte, and refused beyond what a pod may have", async () => {
    const free = ANNOTATION_LIMIT - sizeOf(await render({ values: oneAddress() })) - "note".length;
    const withNote = (length: number) => {
      const note = "ä".repeat(length / 2) + "a".repeat(length % 2);
      return render({ values: oneAddress({}, { podAnnotations: { note } }) });
    };
    expect(sizeOf(await withNote(free))).toBe(ANNOTATION_LIMIT);
    await expect(withNote(free + 1)).rejects.toThrow(
      "addresses: the configuration has 258049 bytes, with podAnnotations, and the annotations of an agent's pod may have 258048 (Kubernetes takes 262144; 4096 stay free for what is added later): install the addresses as 2 releases",
    );
  });

  it("is one line of JSON without what is the agent's default", async () => {
    const config = configText(await render({ values: oneAddress({ hostNetworkTargets: false }) }));
    expect(config).toMatch(
      /^\{"addresses":\[\{"ipAddress":"169\.254\.210\.210","ports":\[\{"port":8126\}\],"selector":"app=dd-agent"\}\],/,
    );
    expect(parseConfig(config).addresses[0]).toMatchObject({
      hostNetworkTargets: false,
      whenNoTarget: "reject",
    });
  });
});
