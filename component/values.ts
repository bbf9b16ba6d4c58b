import type * as pulumi from "@pulumi/pulumi";
import { type Agent, type UpdateStrategy, UpdateStrategyType } from "./agent";
import type { Address, Port } from "./args";
import { parseImage } from "./image";
import { isRecord } from "./shape";

/** An installation's arguments when all of them are known. */
export interface Installation {
  addresses: pulumi.Unwrap<Address>[];
  agent?: pulumi.Unwrap<Agent>;
  values?: Values;
}

/** Values of the chart. */
export type Values = Record<string, unknown>;

/** The chart's values: arguments that are not given are absent, so that the chart's defaults hold. */
export function chartValues(name: string, { addresses, agent, values }: Installation): Values {
  const own = given({
    fullnameOverride: name,
    addresses: addresses.map(addressValues),
    ...agentValues(given(agent ?? {})),
  });
  return merged(own, values ?? {});
}

function addressValues(address: pulumi.Unwrap<Address>): Values {
  const { ipAddress, ipv6Address, selector, namespace, hostNetworkTargets, ports, ...others } = address;
  const { loadBalance, whenNoTarget } = others;
  return given({
    ...{ ipAddress, ipv6Address, selector, namespace, hostNetworkTargets, loadBalance, whenNoTarget },
    ports: ports?.map(portValues),
  });
}

function portValues(port: pulumi.Unwrap<Port>): Values {
  const { name, port: number, endPort, targetPort, targetPortName, protocol } = port;
  return given({ name, port: number, endPort, targetPort: targetPortName ?? targetPort, protocol });
}

function agentValues(agent: pulumi.Unwrap<Agent>): Values {
  const { image, imagePullPolicy, imagePullSecrets, updateStrategy, ...others } = agent;
  const imageValues = given({
    ...(image === undefined ? {} : parseImage(image)),
    pullPolicy: imagePullPolicy,
  });
  return {
    ...others,
    // The namespace is that of the release: it is no value of the chart, and the chart does not create it.
    namespace: undefined,
    createNamespace: undefined,
    image: Object.keys(imageValues).length === 0 ? undefined : imageValues,
    imagePullSecrets: imagePullSecrets?.map((secret) => ({ name: secret })),
    updateStrategy: updateStrategy && updateStrategyValues(updateStrategy),
  };
}

/**
 * Helm merges these with the chart's defaults; null removes the default rollingUpdate, which OnDelete must not have.
 */
function updateStrategyValues({ type, maxUnavailable }: pulumi.Unwrap<UpdateStrategy>): Values {
  if (type === UpdateStrategyType.OnDelete) return { type, rollingUpdate: null };
  // The API server takes the string "1" for a share without its percent sign, and refuses it.
  const count = /^\d+$/.test(String(maxUnavailable)) ? Number(maxUnavailable) : maxUnavailable;
  return given({ type, rollingUpdate: count === undefined ? undefined : { maxUnavailable: count } });
}

/** The values without undefined and null: Helm removes the chart's default where a value is null. */
function given<T extends object>(values: T): Partial<T> {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(entries) as Partial<T>;
}

/** Merges values as Helm does: maps key by key, anything else is replaced. */
function merged(base: Values, over: Values): Values {
  const both = Object.entries(over).map(([key, value]) => {
    const below = Object.hasOwn(base, key) ? base[key] : undefined;
    return [key, isRecord(below) && isRecord(value) ? merged(below, value) : value];
  });
  return { ...base, ...Object.fromEntries(both) };
}
