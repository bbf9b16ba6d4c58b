import { parse as parseYaml, YAMLParseError } from "yaml";
import * as z from "zod";
import { type AddressSpec, addressFaults, type Fault } from "../component/spec/address.ts";
import { parseSelector, type Requirement } from "../component/spec/selector.ts";

/** What the user wants of this node's agent. Every value is valid and every default is filled in. */
export interface Config {
  /** Names the nftables table, `inet magic-ip-<instance>`; installations on one node need different ones. */
  instance: string;
  /** Port of the health endpoints on 127.0.0.1. */
  healthPort: number;
  /** Seconds between two relists of the pods, the safety net behind the watch. */
  pollInterval: number;
  /** Whether debug lines are logged too. */
  verbose: boolean;
  addresses: Address[];
}

export interface Address {
  ipAddress: string;
  namespace: string;
  /** The selector as it was written, for the API server and for messages. */
  selector: string;
  requirements: Requirement[];
  ports: Port[];
  hostNetworkTargets: boolean;
}

export interface Port {
  name: string | undefined;
  port: number;
  /** A number, or the name of a container port of the target. */
  targetPort: number | string;
  protocol: Protocol;
}

/** As nft spells it. */
export type Protocol = "tcp" | "udp";

/** A configuration that cannot be used, with every fault of it in one message. */
export class ConfigError extends Error {
  override name = "ConfigError";
  readonly code = "CONFIG_INVALID";

  constructor(
    readonly source: string,
    readonly faults: Fault[],
  ) {
    const lines = faults.map(({ path, reason }) => `  ${path === "" ? reason : `${path}: ${reason}`}`);
    super([`the configuration in ${source} cannot be used:`, ...lines].join("\n"));
  }
}

/**
 * Reads a configuration from YAML or JSON text. `source` names it in messages.
 * @throws {ConfigError} with every fault; nothing is half accepted.
 */
export function parseConfig(text: string, source = "the configuration file"): Config {
  return toConfig(parseDocument(text, source), source);
}

/**
 * Reads the configuration of one address from the environment, with the names of the ancestor
 * (mumoshu/kube-magic-ip-address): MAGIC_IP, SELECTOR, NAMESPACE, PORT or MAGIC_PORT and TARGET_PORT, PROTOCOL,
 * POLL_INTERVAL (seconds), VERBOSE; and INSTANCE and HEALTH_PORT as in the file.
 * @throws {ConfigError} with every fault, each named by its variable.
 */
export function configFromEnvironment(env: NodeJS.ProcessEnv): Config {
  const missing = missingVariables(env);
  if (missing.length > 0) throw new ConfigError("the environment", missing);
  try {
    return toConfig(documentFromEnvironment(env), "the environment");
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.source, error.faults.map(namedByVariable));
  }
}

const wholeNumber = (minimum: number, maximum: number) =>
  z.int(`must be a whole number from ${minimum} to ${maximum}`).min(minimum).max(maximum);

const portShape = z.strictObject({
  name: z.string().optional(),
  port: z.number(),
  targetPort: z.union([z.number(), z.string()]).optional(),
  protocol: z.string().optional(),
});

const addressShape = z.strictObject({
  ipAddress: z.string(),
  namespace: z.string().optional(),
  selector: z.string(),
  ports: z.array(portShape),
  hostNetworkTargets: z.boolean().optional(),
});

/** The instance becomes part of an nft identifier: nothing but these characters may reach it. */
export const instancePattern = /^[A-Za-z0-9][A-Za-z0-9.-]{0,126}$/;

const instanceShape = z
  .string()
  .regex(instancePattern, 'must be 1–127 letters, digits, "." and "-", with a letter or digit first');

const configShape = z.strictObject({
  instance: instanceShape.default("default"),
  healthPort: wholeNumber(1, 65535).default(61000),
  pollInterval: wholeNumber(1, 86400).default(600),
  verbose: z.boolean().default(false),
  addresses: z.array(addressShape),
});

function parseDocument(text: string, source: string): unknown {
  try {
    return parseYaml(text);
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    throw new ConfigError(source, [{ path: "", reason: `is neither YAML nor JSON: ${error.message}` }]);
  }
}

function toConfig(document: unknown, source: string): Config {
  const shape = configShape.safeParse(document, { reportInput: true });
  if (!shape.success) throw new ConfigError(source, shape.error.issues.flatMap(shapeFaults));
  const addresses = shape.data.addresses.map(withoutUndefined);
  const faults = addressFaults(addresses);
  if (faults.length > 0) throw new ConfigError(source, faults);
  return { ...shape.data, addresses: addresses.map(toAddress) };
}

function withoutUndefined(address: z.infer<typeof addressShape>): AddressSpec {
  return JSON.parse(JSON.stringify(address)) as AddressSpec;
}

function toAddress(spec: AddressSpec): Address {
  return {
    ipAddress: spec.ipAddress,
    namespace: spec.namespace ?? "default",
    selector: spec.selector,
    requirements: parseSelector(spec.selector),
    hostNetworkTargets: spec.hostNetworkTargets ?? false,
    ports: spec.ports.map((port) => ({
      name: port.name,
      port: port.port,
      targetPort: port.targetPort ?? port.port,
      protocol: port.protocol === "UDP" ? "udp" : "tcp",
    })),
  };
}

type Issue = z.core.$ZodIssue;

function shapeFaults(issue: Issue): Fault[] {
  const path = issue.path.reduce<string>(
    (text, key) =>
      typeof key === "number" ? `${text}[${key}]` : text === "" ? String(key) : `${text}.${String(key)}`,
    "",
  );
  if (issue.code !== "unrecognized_keys") return [{ path, reason: shapeReason(issue) }];
  return issue.keys.map((key) => ({
    path: path === "" ? key : `${path}.${key}`,
    reason: "is not a known field",
  }));
}

function shapeReason(issue: Issue): string {
  if (issue.input === undefined)
    return issue.code === "invalid_type" ? `is missing: ${needed(issue)} is needed` : "is missing";
  const value = JSON.stringify(issue.input);
  if (issue.code === "invalid_type") return `${value} is the wrong kind of value: ${needed(issue)} is needed`;
  if (issue.code === "invalid_union")
    return `${value} is the wrong kind of value: a number or a name is needed`;
  if (issue.code === "too_small") return `${value} is too small: at least ${issue.minimum}`;
  if (issue.code === "too_big") return `${value} is too big: at most ${issue.maximum}`;
  return `${value} ${issue.message}`;
}

function needed(issue: Issue & { code: "invalid_type" }): string {
  const articles: Record<string, string> = {
    array: "a list",
    object: "a mapping",
    boolean: "true or false",
    int: "a whole number",
  };
  return articles[issue.expected] ?? `a ${issue.expected}`;
}

function missingVariables(env: NodeJS.ProcessEnv): Fault[] {
  const port = env.PORT || env.MAGIC_PORT;
  const reasons: [string, string | undefined, string][] = [
    ["MAGIC_IP", env.MAGIC_IP, "is missing: the magic IP, as 169.254.210.210"],
    ["SELECTOR", env.SELECTOR, "is missing: the label selector of the targets, as app=dd-agent"],
    [
      "PORT",
      port,
      "is missing: the port that clients dial (or MAGIC_PORT, with TARGET_PORT where targets listen on another)",
    ],
  ];
  return reasons.filter(([, value]) => !value).map(([path, , reason]) => ({ path, reason }));
}

function documentFromEnvironment(env: NodeJS.ProcessEnv): unknown {
  return {
    instance: env.INSTANCE || undefined,
    healthPort: numberOr(env.HEALTH_PORT),
    pollInterval: numberOr(env.POLL_INTERVAL),
    verbose: /^(1|true|yes)$/i.test(env.VERBOSE ?? ""),
    addresses: [
      {
        ipAddress: env.MAGIC_IP,
        namespace: env.NAMESPACE || undefined,
        selector: env.SELECTOR,
        ports: [
          {
            port: numberOr(env.MAGIC_PORT || env.PORT),
            targetPort: numberOr(env.TARGET_PORT || (env.MAGIC_PORT ? env.PORT : undefined)),
            protocol: env.PROTOCOL?.toUpperCase() || undefined,
          },
        ],
      },
    ],
  };
}

/** Text that is no number stays text, so that the fault shows what was written. */
function numberOr(text: string | undefined): number | string | undefined {
  if (!text) return undefined;
  return /^\d+$/.test(text) ? Number(text) : text;
}

const variables: [RegExp, string][] = [
  [/\.ipAddress$/, "MAGIC_IP"],
  [/\.selector$/, "SELECTOR"],
  [/\.namespace$/, "NAMESPACE"],
  [/\.port$/, "PORT"],
  [/\.targetPort$/, "TARGET_PORT"],
  [/\.protocol$/, "PROTOCOL"],
  [/^pollInterval$/, "POLL_INTERVAL"],
  [/^healthPort$/, "HEALTH_PORT"],
  [/^instance$/, "INSTANCE"],
];

function namedByVariable({ path, reason }: Fault): Fault {
  const variable = variables.find(([pattern]) => pattern.test(path))?.[1];
  return { path: variable ?? path, reason };
}
