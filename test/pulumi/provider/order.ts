import type { KubernetesObject } from "./object.ts";

/** The annotation by which a manifest names the objects that must be there before it (kpt and cli-utils). */
const DEPENDS_ON = "config.kubernetes.io/depends-on";

/** The objects with, for each, those it needs; an object comes after everything it needs. */
export function inOrder(
  objects: KubernetesObject[],
): { object: KubernetesObject; needs: KubernetesObject[] }[] {
  const needs = new Map(objects.map((object) => [object, neededBy(object, objects)]));
  const ordered = new Set<KubernetesObject>();
  const visit = (object: KubernetesObject, path: KubernetesObject[]) => {
    if (path.includes(object)) throw new Error(`${DEPENDS_ON}: ${reference(object)} depends on itself`);
    for (const need of needs.get(object) ?? []) visit(need, [...path, object]);
    ordered.add(object);
  };
  for (const object of objects) visit(object, []);
  return [...ordered].map((object) => ({ object, needs: needs.get(object) ?? [] }));
}

function neededBy(object: KubernetesObject, all: KubernetesObject[]): KubernetesObject[] {
  const named = (object.metadata.annotations?.[DEPENDS_ON] ?? "")
    .split(",")
    .map((text) => text.trim())
    .filter((text) => text !== "");
  // Like the real provider, objects outside the chart are not waited for, and a namespace comes before what lives in it.
  return all.filter(
    (other) =>
      named.includes(reference(other)) ||
      (other.kind === "Namespace" && other.metadata.name === object.metadata.namespace),
  );
}

// `group/namespaces/<namespace>/<kind>/<name>` or `group/<kind>/<name>`; the core group is the empty word.
function reference({ apiVersion, kind, metadata }: KubernetesObject): string {
  const group = apiVersion.includes("/") ? apiVersion.split("/")[0] : "";
  const namespace = metadata.namespace ? `namespaces/${metadata.namespace}/` : "";
  return `${group}/${namespace}${kind}/${metadata.name}`;
}
