import { expect, it } from "vitest";
import { type KubernetesObject, titleOf } from "./object.ts";
import { inOrder } from "./order.ts";

const namespace: KubernetesObject = { apiVersion: "v1", kind: "Namespace", metadata: { name: "magic" } };
const agent = object(
  "apps/v1",
  "DaemonSet",
  "agent",
  "/namespaces/magic/ConfigMap/config, apps/namespaces/x/Y/z",
);
const config = object("v1", "ConfigMap", "config");

function object(apiVersion: string, kind: string, name: string, dependsOn?: string): KubernetesObject {
  const annotations = dependsOn ? { "config.kubernetes.io/depends-on": dependsOn } : null;
  return { apiVersion, kind, metadata: { name, namespace: "magic", annotations } };
}

it("puts an object behind its namespace and what it depends on; strangers are not waited for", () => {
  const ordered = inOrder([agent, config, namespace]).map(({ object, needs }) => [
    titleOf(object),
    needs.map(titleOf),
  ]);
  expect(ordered).toEqual([
    ["Namespace magic", []],
    ["ConfigMap magic/config", ["Namespace magic"]],
    ["DaemonSet magic/agent", ["ConfigMap magic/config", "Namespace magic"]],
  ]);
});

it("refuses a circle", () => {
  const a = object("v1", "A", "a", "/namespaces/magic/B/b");
  const b = object("v1", "B", "b", "/namespaces/magic/A/a");
  expect(() => inOrder([a, b])).toThrow("/namespaces/magic/A/a depends on itself");
});
