import type { FieldsShape, Shape } from "./shape";

const text = (example: string): Shape => ({ is: "string", example: JSON.stringify(example) });
const number = (example: number): Shape => ({ is: "number", example: String(example) });
const flag: Shape = { is: "boolean", example: "true or false" };
const texts = (example: string): Shape => ({ is: "map", of: { is: "string" }, example });

const portShape: Shape = {
  is: "object",
  example: "{ port: 8126 }",
  required: ["port"],
  fields: {
    name: text("apm"),
    port: number(8126),
    endPort: number(8130),
    targetPort: number(8126),
    targetPortName: text("traceport"),
    protocol: text("TCP"),
  },
};

const addressShape: FieldsShape = {
  is: "object",
  example: '{ ipAddress: "169.254.210.210", selector: "app=dd-agent", ports: [{ port: 8126 }] }',
  required: ["ipAddress", "selector"],
  fields: {
    ipAddress: text("169.254.210.210"),
    ipv6Address: text("fd00:210::210"),
    selector: text("app=dd-agent"),
    namespace: text("default"),
    ports: { is: "list", of: portShape, example: "[{ port: 8126 }]" },
    hostNetworkTargets: flag,
    loadBalance: flag,
    whenNoTarget: text("Reject"),
  },
};

const tolerationShape: Shape = {
  is: "object",
  example: '{ operator: "Exists" }',
  fields: {
    key: text("dedicated"),
    operator: text("Exists"),
    value: text("gpu"),
    effect: text("NoSchedule"),
    tolerationSeconds: number(300),
  },
};

const agentShape: Shape = {
  is: "object",
  example: '{ namespace: "kube-system" }',
  fields: {
    namespace: text("kube-system"),
    createNamespace: flag,
    image: text("magic-ip-address-agent"),
    imagePullPolicy: text("IfNotPresent"),
    imagePullSecrets: { is: "list", of: text("my-registry"), example: '["my-registry"]' },
    pollInterval: number(1800),
    verbose: flag,
    healthPort: number(61500),
    metricsPort: number(9810),
    backend: text("auto"),
    hostClients: flag,
    outsideGuard: flag,
    masquerade: text("auto"),
    startupTaint: flag,
    allowedCidrs: { is: "list", of: text("169.254.210.0/24"), example: '["169.254.210.0/24"]' },
    tolerations: { is: "list", of: tolerationShape, example: '[{ operator: "Exists" }]' },
    nodeSelector: texts('{ pool: "apps" }'),
    priorityClassName: text("system-node-critical"),
    resources: {
      is: "object",
      example: '{ limits: { memory: "160Mi" } }',
      fields: { requests: texts('{ memory: "64Mi" }'), limits: texts('{ memory: "160Mi" }') },
    },
    updateStrategy: {
      is: "object",
      example: '{ maxUnavailable: "1" }',
      fields: {
        type: text("RollingUpdate"),
        maxUnavailable: { is: "string or number", example: '"10%"' },
      },
    },
    podLabels: texts('{ team: "observability" }'),
    podAnnotations: texts('{ "example.com/team": "observability" }'),
  },
};

/** The arguments beside the addresses. */
const others: Record<string, Shape> = {
  agent: agentShape,
  skipAwait: flag,
  values: { is: "map", example: "{ affinity: {} }" },
};

/**
 * The shape of an installation's arguments: the types of args.ts and agent.ts, for programs without TypeScript's check.
 */
export const installationShape = shapeOf(addressShape);

/** The same for a component of one address, whose fields the user writes beside the others. */
export const oneAddressShape = shapeOf({ ...addressShape, beside: others });

function shapeOf(address: Shape): Shape {
  return {
    is: "object",
    example: "{ addresses: […] }",
    required: ["addresses"],
    fields: {
      addresses: { is: "list", of: address, example: `[${addressShape.example}]` },
      ...others,
    },
  };
}
