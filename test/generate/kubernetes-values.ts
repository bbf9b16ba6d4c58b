import * as z from "zod";

// What kinds the chart's values are of where they are Kubernetes' business, not the agent's. Defaults stand in values.yaml; what
// a text must look like, the chart's _faults-kubernetes.tpl says.

const texts = z.record(z.string(), z.string());
const anything = z.looseObject({});

const image = z.strictObject({
  repository: z.string(),
  tag: z.string(),
  digest: z.string(),
  pullPolicy: z.enum(["Always", "IfNotPresent", "Never"]),
});

const podMonitor = z.strictObject({
  enabled: z.boolean(),
  assumeCrd: z.boolean(),
  interval: z.string(),
  labels: texts,
});

const rollingUpdate = z.strictObject({
  maxUnavailable: z.union([z.number(), z.string()]),
});

const updateStrategy = z.strictObject({
  type: z.enum(["RollingUpdate", "OnDelete"]),
  rollingUpdate: rollingUpdate.partial(),
});

const tests = z.strictObject({
  enabled: z.boolean(),
  image: z.string(),
  nodeSelector: texts,
  tolerations: z.array(anything),
  wait: z.string(),
});

/** The chart's values that are no settings of the agent. */
export const kubernetesShape = z.strictObject({
  image,
  imagePullSecrets: z.array(z.strictObject({ name: z.string() })),
  nameOverride: z.string(),
  fullnameOverride: z.string(),
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
  rbac: z.strictObject({ create: z.boolean(), events: z.boolean() }).partial(),
  tests: tests.partial(),
});
