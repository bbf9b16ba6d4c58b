import { describe, expect, it } from "vitest";
import { podFromApi } from "../../agent/pod.ts";
import { parsePods } from "../../agent/podlist.ts";

describe("a pod's named ports", () => {
  it.each([0, -1, 65_536, 80.5, Number.NaN, "80 } ; flush ruleset", null, undefined])(
    "without a number of a port (%s) are left out",
    (wrong) => {
      const ports = [
        { name: "wrong", containerPort: wrong as number },
        { name: "right", containerPort: 8126 },
      ];
      const { namedPorts } = podFromApi({ spec: { containers: [{ name: "c", ports }] } });
      expect(namedPorts).toEqual([{ name: "right", protocol: "tcp", port: 8126 }]);
    },
  );

  it("are none where a manifest says null", () => {
    const text =
      "kind: Pod\nspec: { containers: [{ name: c, ports: null }], initContainers: null }\nstatus: null\n";
    expect(parsePods(text, "pods.yaml")).toMatchObject([{ namedPorts: [], ips: [], ready: false }]);
  });
});
