import { isDeepStrictEqual } from "node:util";
import type { DiffResult } from "@pulumi/pulumi/provider/index.js";
import { idOf, type KubernetesObject } from "./object.ts";

/** What a change of inputs means: nothing, an update, or a new object in place of the old one. */
export function difference(before: KubernetesObject, after: KubernetesObject): DiffResult {
  if (isDeepStrictEqual(before, after)) return { changes: false };
  const replaces = ["metadata.name", "metadata.namespace", ...(IMMUTABLE[after.kind] ?? [])].filter(
    (path) => !isDeepStrictEqual(at(before, path), at(after, path)),
  );
  // Two objects of one name cannot stand side by side: the old one has to go first.
  return {
    changes: true,
    replaces,
    deleteBeforeReplace: replaces.length > 0 && idOf(before) === idOf(after),
  };
}

// Fields that the API server refuses to change, and the data of a ConfigMap or Secret: the real provider replaces
// those too unless enableConfigMapMutable or enableSecretMutable is set (pulumi-kubernetes: provider/pkg/provider/diff.go).
const IMMUTABLE: Record<string, string[]> = {
  ClusterRoleBinding: ["roleRef"],
  ConfigMap: ["data", "binaryData"],
  DaemonSet: ["spec.selector"],
  Deployment: ["spec.selector"],
  Job: ["spec.selector", "spec.template"],
  RoleBinding: ["roleRef"],
  Secret: ["type", "data", "stringData"],
  Service: ["spec.clusterIP"],
  StatefulSet: ["spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"],
};

function at(object: unknown, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], object);
}
