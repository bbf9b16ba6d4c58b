import * as z from "zod";

// What the chart's values are to be where they are Kubernetes' business, not the agent's. Defaults stand in values.yaml,
// and null takes one of them away, so that almost nothing is required.

const texts = z.record(z.string(), z.string());
const anything = z.looseObject({});
const objectName = z.string().meta({ pattern: "^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$" });

const image = z
  .strictObject({
    repository: z.string().meta({ pattern: "^[a-z0-9][a-zA-Z0-9._:/-]*$" }),
    tag: z.string().meta({ pattern: "^([a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?$" }),
    digest: z.string().meta({ pattern: "^(sha256:[0-9a-f]{64})?$" }),
    pullPolicy: z.enum(["Always", "IfNotPresent", "Never"]),
  })
  .partial({ tag: true, digest: true, pullPolicy: true });

const podMonitor = z.strictObject({
  enabled: z.boolean(),
  interval: z.string().meta({ pattern: "^([0-9]+(ms|s|m|h))*$" }),
  labels: texts,
});

const rollingUpdate = z.strictObject({
  maxUnavailable: z.union([z.int().min(1), z.string().meta({ pattern: "^[0-9]+%$" })]),
});

const updateStrategy = z.strictObject({
  type: z.enum(["RollingUpdate", "OnDelete"]),
  rollingUpdate: rollingUpdate.partial().nullable().optional(),
});

const tests = z.strictObject({
  enabled: z.boolean(),
  image: z.string().meta({ pattern: "^([a-z0-9][a-zA-Z0-9._:/@-]*)?$" }),
  nodeSelector: texts,
  tolerations: z.array(anything),
  wait: z.string().meta({ pattern: "^[1-9][0-9]*(ms|s|m)$" }),
});

/** The chart's values that are no settings of the agent. */
export const kubernetesShape = z.strictObject({
  image,
  imagePullSecrets: z.array(z.strictObject({ name: z.string().min(1) })),
  nameOverride: objectName,
  fullnameOverride: objectName,
  podMonitor: podMonitor.partial(),
  grafanaDashboard: z.strictObject({ enabled: z.boolean(), labels: texts, annotations: texts }).partial(),
  resources: anything,
  tolerations: z.array(anything),
  nodeSelector: texts,
  affinity: anything,
  priorityClassName: z.string(),
  resourceQuota: z.strictObject({ enabled: z.boolean() }).partial(),
  updateStrategy,
  daemonSetAnnotations: texts,
  podAnnotations: texts,
  podLabels: texts,
  serviceAccount: z.strictObject({ create: z.boolean(), name: z.string(), annotations: texts }).partial(),
  rbac: z.strictObject({ create: z.boolean() }).partial(),
  tests: tests.partial(),
});
