import type * as pulumi from "@pulumi/pulumi";
import type { AddressArgs, AgentArgs, MagicIpPortArgs } from "./args";
import { parseImage } from "./image";
import { isRecord } from "./shape";

/** An installation's arguments when all of them are known. */
export interface Installation {
  addresses: pulumi.Unwrap<AddressArgs>[];
  agent?: pulumi.Unwrap<AgentArgs>;
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

function addressValues(address: pulumi.Unwrap<AddressArgs>): Values {
  const { ipAddress, ipv6Address, selector, namespace, hostNetworkTargets, ports, ...others } = address;
  const { loadBalance, whenNoTarget } = others;
  return given({
    ...{ ipAddress, ipv6Address, selector, namespace, hostNetworkTargets, loadBalance, whenNoTarget },
    ports: ports?.map(portValues),
  });
}

function portValues(port: pulumi.Unwrap<MagicIpPortArgs>): Values {
  const { name, port: number, endPort, targetPort, targetPortName, protocol } = port;
  return given({ name, port: number, endPort, targetPort: targetPortName ?? targetPort, protocol });
}

function agentValues(agent: pulumi.Unwrap<AgentArgs>): Values {
  const { image, imagePullPolicy, imagePullSecrets, ...others } = agent;
  const imageValues = given({
    ...(image === undefined ? {} : parseImage(image)),
    pullPolicy: imagePullPolicy,
  });
  return {
    ...others,
    // The namespace of the release, no value of the chart.
    namespace: undefined,
    image: Object.keys(imageValues).length === 0 ? undefined : imageValues,
    imagePullSecrets: imagePullSecrets?.map((secret) => ({ name: secret })),
  };
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
