import type { Fault } from "./fault";
import { portNameLength, portNamePattern, portNumbers } from "./patterns";

/** Transport protocols of a port, spelled as in a Kubernetes Service. */
export const Protocol = { TCP: "TCP", UDP: "UDP", SCTP: "SCTP" } as const;
export type Protocol = (typeof Protocol)[keyof typeof Protocol];

/** One port of a magic IP, or a range of them, as it stands in the agent's configuration and in the chart's values. */
export interface PortSpec {
  /** For people and outputs; unique within the address. */
  name?: string;
  /** What clients dial, 1–65535; in a range the first of them. */
  port: number;
  /** The last port of a range, as in a NetworkPolicy. Default: `port`. */
  endPort?: number;
  /**
   * Where the target listens: a number, or the name of a container port of the target. Default: `port`. A range has none:
   * its targets listen on the ports that are dialed.
   */
  targetPort?: number | string;
  /** Default: TCP. */
  protocol?: string;
}

/** The faults of an address's ports, except overlaps (see `Claims`); `path` is that of the list. */
export function portsFaults(ports: PortSpec[], path: string): Fault[] {
  const names = new Map<string, string>();
  return ports.flatMap((port, index) => portFaults(port, `${path}[${index}]`, names));
}

/** Whether it is a port number. */
export function isPortNumber(port: number): boolean {
  return Number.isInteger(port) && port >= portNumbers.minimum && port <= portNumbers.maximum;
}

function portFaults(port: PortSpec, path: string, names: Map<string, string>): Fault[] {
  return [
    ...portNumberFaults(port.port, `${path}.port`),
    ...endPortFaults(port, `${path}.endPort`),
    ...targetPortFaults(port, `${path}.targetPort`),
    ...protocolFaults(port.protocol, `${path}.protocol`),
    ...(port.name === undefined ? [] : portNameFaults(port.name, `${path}.name`, names)),
  ];
}

function portNumberFaults(port: number, path: string): Fault[] {
  if (isPortNumber(port)) return [];
  return [{ path, reason: `${port} is not a port: write a whole number from 1 to 65535` }];
}

function endPortFaults({ port, endPort }: PortSpec, path: string): Fault[] {
  if (endPort === undefined) return [];
  if (!isPortNumber(endPort)) return portNumberFaults(endPort, path);
  if (!isPortNumber(port) || endPort >= port) return [];
  return [
    {
      path,
      reason: `${endPort} is less than port ${port}: write the last port of the range, ${port} to 65535`,
    },
  ];
}

function targetPortFaults({ endPort, targetPort }: PortSpec, path: string): Fault[] {
  if (targetPort === undefined) return [];
  if (endPort !== undefined) {
    return [
      {
        path,
        reason: `${JSON.stringify(targetPort)} is set beside endPort ${endPort}: a range keeps its port numbers, so leave the target port out`,
      },
    ];
  }
  if (typeof targetPort === "number") return portNumberFaults(targetPort, path);
  if (isPortName(targetPort)) return [];
  return [
    {
      path,
      reason: `"${targetPort}" is neither a port number from 1 to 65535 nor the name of a container port, as apm`,
    },
  ];
}

function protocolFaults(protocol: string | undefined, path: string): Fault[] {
  if (protocol === undefined || Object.hasOwn(Protocol, protocol)) return [];
  return [{ path, reason: `"${protocol}" is not a protocol: write TCP, UDP or SCTP` }];
}

function portNameFaults(name: string, path: string, names: Map<string, string>): Fault[] {
  if (!isPortName(name)) {
    return [
      {
        path,
        reason: `"${name}" is no port name: at most 15 lower-case letters, digits and "-", with a letter, as apm`,
      },
    ];
  }
  const first = names.get(name);
  names.set(name, first ?? path);
  return first === undefined
    ? []
    : [{ path, reason: `"${name}" is the name of ${first} too: names are unique within an address` }];
}

function isPortName(name: string): boolean {
  return name.length <= portNameLength && portNamePattern.test(name);
}
