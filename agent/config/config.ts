import { parse as parseYaml, YAMLParseError } from "yaml";
import type * as z from "zod";
import {
  addressFaults,
  type Fault,
  type PortSpec,
  Protocol as ProtocolSpec,
  WhenNoTarget as WhenNoTargetSpec,
} from "../../component/address/address.ts";
import type { AddressSpec } from "../../component/address/spec.ts";
import { canonicalIp } from "../../component/address/ip.ts";
import { parseSelector, type Requirement } from "../../component/address/selector.ts";
import { documentFromEnvironment, environmentFaults, namedByVariable } from "./environment.ts";
import { documentFaults, metricsPortFaults } from "./faults.ts";
import { type addressShape, configShape } from "./schema.ts";

export { instancePattern } from "./schema.ts";

/** The configuration of the node's agent, with every value valid and every default filled in. */
export interface Config {
  /** Names the nftables table, `inet magic-ip-<instance>`; installations on one node need different names. */
  instance: string;
  /** Port of the health endpoints on 127.0.0.1. */
  healthPort: number;
  /** Port of /metrics on every address of the node; undefined: on 127.0.0.1 only. */
  metricsPort: number | undefined;
  /** Seconds between two relists of the pods, which find what a watch missed. */
  pollInterval: number;
  /** Whether debug lines are logged too. */
  verbose: boolean;
  /** The backend that writes the rules; `auto` takes nftables where it works. */
  backend: "auto" | "nftables" | "iptables";
  /** Whether the node's own processes and hostNetwork pods are clients too. */
  hostClients: boolean;
  /** Whether packets to a magic IP that come from outside the node are dropped. */
  outsideGuard: boolean;
  /** `auto`: only where a client would otherwise get no answer; `always`: targets see the node, not the client. */
  masquerade: "auto" | "always";
  /** Whether the agent removes the startup taint from its node when the addresses work. */
  startupTaint: boolean;
  addresses: Address[];
}

export interface Address {
  /** The magic IP in canonical text (RFC 5952), and the second one of the other family, if any. */
  ipAddresses: string[];
  namespace: string;
  /** The selector as the user wrote it, for the API server and for messages. */
  selector: string;
  requirements: Requirement[];
  /** None: the whole magic IP, every protocol and port. */
  ports: Port[];
  hostNetworkTargets: boolean;
  /** Whether new flows are spread over all ready pods; else the newest pod gets all. */
  loadBalance: boolean;
  whenNoTarget: WhenNoTarget;
}

export interface Port {
  name: string | undefined;
  port: number;
  /** The last port of a range; `port` itself for a single port. */
  endPort: number;
  /** A number, or the name of the target's container port; undefined in a range: the port that the client dialed. */
  targetPort: number | string | undefined;
  protocol: Protocol;
}

/** Spelled as in nft. */
export type Protocol = "tcp" | "udp" | "sctp";

/** The answer to a client without a target on its node: an error at once, none, or the network's own. */
export type WhenNoTarget = "reject" | "drop" | "pass";

/** A configuration that cannot be used; the message contains all its faults. */
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
 * @throws {ConfigError} with every fault; a configuration with a fault is rejected as a whole.
 */
export function parseConfig(text: string, source = "the configuration file"): Config {
  return toConfig(parseDocument(text, source), source);
}

/**
 * Reads the configuration of one address from the environment variables that environment.ts lists.
 * @throws {ConfigError} with every fault, each named by its variable.
 */
export function configFromEnvironment(env: NodeJS.ProcessEnv): Config {
  const faults = environmentFaults(env);
  if (faults.length > 0) throw new ConfigError("the environment", faults);
  try {
    return toConfig(documentFromEnvironment(env), "the environment");
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(
      error.source,
      error.faults.map((fault) => namedByVariable(fault, env)),
    );
  }
}

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
  if (!shape.success) throw new ConfigError(source, documentFaults(document, shape.error.issues));
  const { allowedCidrs, metricsPort, ...config } = shape.data;
  const addresses = config.addresses.map(withoutUndefined);
  const faults = [...metricsPortFaults(shape.data), ...addressFaults(addresses, allowedCidrs)];
  if (faults.length > 0) throw new ConfigError(source, faults);
  return { ...config, metricsPort, addresses: addresses.map(toAddress) };
}

function withoutUndefined(address: z.infer<typeof addressShape>): AddressSpec {
  return JSON.parse(JSON.stringify(address)) as AddressSpec;
}

const protocols: Record<ProtocolSpec, Protocol> = { TCP: "tcp", UDP: "udp", SCTP: "sctp" };
const answers: Record<WhenNoTargetSpec, WhenNoTarget> = { Reject: "reject", Drop: "drop", Pass: "pass" };

function toAddress(spec: AddressSpec): Address {
  const { ipAddress, ipv6Address, namespace = "default", selector, ports = [] } = spec;
  return {
    ipAddresses: [ipAddress, ...(ipv6Address === undefined ? [] : [ipv6Address])].map(canonicalIp),
    namespace,
    selector,
    requirements: parseSelector(selector),
    hostNetworkTargets: spec.hostNetworkTargets ?? false,
    loadBalance: spec.loadBalance ?? false,
    whenNoTarget: answers[(spec.whenNoTarget ?? WhenNoTargetSpec.Reject) as WhenNoTargetSpec],
    ports: ports.map(toPort),
  };
}

function toPort({ name, port, endPort = port, targetPort, protocol = ProtocolSpec.TCP }: PortSpec): Port {
  return {
    name,
    port,
    endPort,
    targetPort: endPort > port ? undefined : (targetPort ?? port),
    protocol: protocols[protocol as ProtocolSpec],
  };
}
