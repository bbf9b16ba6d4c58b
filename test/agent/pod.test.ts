import { describe, expect, it } from "vitest";
import { JsonReader } from "../../agent/kubernetes/json.ts";
import { podFromApi, podShape } from "../../agent/kubernetes/pod.ts";
import { parsePods } from "../../agent/kubernetes/podlist.ts";

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

it("a pod's IPv6 addresses are in one spelling, by which pods with the same one are found", () => {
  const podIPs = ["10.244.1.7", "FD00:0:0:9::0007", "no address"].map((ip) => ({ ip }));
  expect(podFromApi({ status: { podIPs } }).ips).toEqual(["10.244.1.7", "fd00:0:0:9::7", "no address"]);
});

it("a pod that declares two thousand ports has its node, its network and its status all the same", () => {
  const ports = Array.from({ length: 250 }, (_, n) => ({ name: `port-${n}`, containerPort: n + 1 }));
  const containers = Array.from({ length: 4 }, (_, n) => ({ name: `c${n}`, ports }));
  const status = { phase: "Running", podIPs: [{ ip: "10.244.1.7" }] };
  // The order is that of the API server, k8s.io/api/core/v1 types.go.
  const spec = { initContainers: containers, containers, nodeName: "n", hostNetwork: true };
  const text = JSON.stringify({ metadata: { uid: "u" }, spec, status });
  const [pod] = new JsonReader(podShape([])).read(Buffer.from(text));
  expect(podFromApi(pod as object)).toMatchObject({
    ...{ phase: "Running", ips: ["10.244.1.7"], nodeName: "n", hostNetwork: true },
  });
});
