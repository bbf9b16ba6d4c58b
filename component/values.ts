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

/** What the chart is to be told: nothing for arguments that are not given, so that its own defaults hold. */
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
    // That of the release, which is no value of the chart, nor made by it.
    namespace: undefined,
    createNamespace: undefined,
    image: Object.keys(imageValues).length === 0 ? undefined : imageValues,
    imagePullSecrets: imagePullSecrets?.map((secret) => ({ name: secret })),
    updateStrategy: updateStrategy && updateStrategyValues(updateStrategy),
  };
}

/** Helm merges these with the chart's defaults, of which OnDelete may keep none. */
function updateStrategyValues({ type, maxUnavailable }: pulumi.Unwrap<UpdateStrategy>): Values {
  if (type === UpdateStrategyType.OnDelete) return { type, rollingUpdate: null };
  // To the API server "1" would be a share that lacks its percent sign.
  const count = /^\d+$/.test(String(maxUnavailable)) ? Number(maxUnavailable) : maxUnavailable;
  return given({ type, rollingUpdate: count === undefined ? undefined : { maxUnavailable: count } });
}

/** Without undefined and null: to Helm, null would mean to take the chart's default away. */
function given<T extends object>(values: T): Partial<T> {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(entries) as Partial<T>;
}

/** As Helm merges values: maps key by key, anything else is replaced. */
function merged(base: Values, over: Values): Values {
  const both = Object.entries(over).map(([key, value]) => {
    const below = Object.hasOwn(base, key) ? base[key] : undefined;
    return [key, isRecord(below) && isRecord(value) ? merged(below, value) : value];
  });
  return { ...base, ...Object.fromEntries(both) };
}
