import { describe, expect, it } from "vitest";
import { difference } from "./difference.ts";
import type { KubernetesObject } from "./object.ts";

const config: KubernetesObject = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "config", namespace: "magic" },
  data: { key: "value" },
};

describe("a change of inputs", () => {
  it("is none when they are equal", () => {
    expect(difference(config, structuredClone(config))).toEqual({ changes: false });
  });

  it("updates what may change", () => {
    const labelled = { ...config, metadata: { ...config.metadata, labels: { a: "b" } } };
    expect(difference(config, labelled)).toMatchObject({ changes: true, replaces: [] });
  });

  it("replaces a ConfigMap whose data changes, the old one first, for they have one name", () => {
    expect(difference(config, { ...config, data: {} })).toEqual({
      changes: true,
      replaces: ["data"],
      deleteBeforeReplace: true,
    });
  });

  it("puts an object of another name beside the old one", () => {
    const renamed = { ...config, metadata: { ...config.metadata, name: "config-2" } };
    expect(difference(config, renamed)).toEqual({
      changes: true,
      replaces: ["metadata.name"],
      deleteBeforeReplace: false,
    });
  });
});
