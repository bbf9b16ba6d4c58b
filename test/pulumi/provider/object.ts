/** A Kubernetes object as a manifest or the API server writes it. */
export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    annotations?: Record<string, string> | null;
    labels?: Record<string, string> | null;
    managedFields?: unknown;
  };
  [field: string]: unknown;
}

// Pulumi's wire format wraps a secret value in an object with this signature (pulumi: sdk/nodejs/runtime/rpc.ts).
const SIGNATURE = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";

/** The value with every secret inside it unwrapped, as it goes to the API server. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const fields = value as Record<string, unknown>;
  if (fields[SIGNATURE] === SECRET) return plain(fields.value);
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, plain(field)]));
}

/** `namespace/name`, or `name` for an object without a namespace: the id and the end of the name that Pulumi shows. */
export function idOf({ metadata }: KubernetesObject): string {
  return metadata.namespace ? `${metadata.namespace}/${metadata.name}` : metadata.name;
}

/** `DaemonSet magic/agent`, for messages. */
export function titleOf(object: KubernetesObject): string {
  return `${object.kind} ${idOf(object)}`;
}

const CLUSTER_SCOPED = new Set([
  "APIService",
  "ClusterRole",
  "ClusterRoleBinding",
  "CustomResourceDefinition",
  "IngressClass",
  "MutatingWebhookConfiguration",
  "Namespace",
  "Node",
  "PersistentVolume",
  "PriorityClass",
  "RuntimeClass",
  "StorageClass",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionPolicyBinding",
  "ValidatingWebhookConfiguration",
]);

/** The object with the chart's namespace where it needs one and names none: templates often leave it out. */
export function inNamespace(object: KubernetesObject, namespace: string | undefined): KubernetesObject {
  if (!namespace || object.metadata.namespace || CLUSTER_SCOPED.has(object.kind)) return object;
  return { ...object, metadata: { ...object.metadata, namespace } };
}
