import { parseIpv4, reservedFor } from "./ipv4";
import { parseSelector, SelectorError } from "./selector";

/** Transport protocols of a port, spelled as in a Kubernetes Service. */
export const Protocol = { TCP: "TCP", UDP: "UDP" } as const;
export type Protocol = (typeof Protocol)[keyof typeof Protocol];

/** One port of a magic IP, as it stands in the agent's configuration and in the chart's values. */
export interface PortSpec {
  /** For people and outputs; unique within the address. */
  name?: string;
  /** What clients dial, 1–65535. */
  port: number;
  /** Where the target listens: a number, or the name of a container port of the target. Default: `port`. */
  targetPort?: number | string;
  /** Default: TCP. */
  protocol?: string;
}

/** One magic IP with its selector and ports. */
export interface AddressSpec {
  /** The magic IP: a unicast IPv4 address that nothing else on the node claims. */
  ipAddress: string;
  /** The namespace in which targets are looked for. Default: `default`. */
  namespace?: string;
  /** Label selector of the targets, in the syntax of `kubectl -l`. */
  selector: string;
  ports: PortSpec[];
  /** Accept targets on the host network, whose port on the node's own IP any process may hold. Default: false. */
  hostNetworkTargets?: boolean;
}

/** What is wrong with one value. */
export interface Fault {
  /** The property, as `addresses[0].ports[1].port`. */
  path: string;
  /** What is wrong with the value, what the value is, and what would be right. */
  reason: string;
}

/** Every fault of the addresses, in their order; none when they can be installed as they are. */
export function addressFaults(addresses: AddressSpec[]): Fault[] {
  if (addresses.length === 0)
    return [{ path: "addresses", reason: "is empty: at least one address is needed" }];
  const claimed = new Map<string, string>();
  return addresses.flatMap((address, index) => {
    const path = `addresses[${index}]`;
    return [
      ...ipAddressFaults(address.ipAddress, `${path}.ipAddress`),
      ...namespaceFaults(address.namespace, `${path}.namespace`),
      ...selectorFaults(address.selector, `${path}.selector`),
      ...portsFaults(address, path, claimed),
    ];
  });
}

function ipAddressFaults(ipAddress: string, path: string): Fault[] {
  const parsed = parseIpv4(ipAddress);
  if (parsed === undefined) {
    return [
      { path, reason: `"${ipAddress}" is not an IPv4 address: write four numbers 0–255, as 169.254.210.210` },
    ];
  }
  const owner = reservedFor(parsed);
  if (owner === undefined) return [];
  return [{ path, reason: `${ipAddress} is reserved for ${owner}: choose another, as 169.254.210.210` }];
}

/** RFC 1123 label, as the API server demands of a namespace's name. */
function namespaceFaults(namespace: string | undefined, path: string): Fault[] {
  if (namespace === undefined || /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(namespace)) return [];
  return [
    {
      path,
      reason: `"${namespace}" is no namespace: at most 63 lower-case letters, digits and "-", as monitoring`,
    },
  ];
}

function selectorFaults(selector: string, path: string): Fault[] {
  try {
    parseSelector(selector);
    return [];
  } catch (error) {
    if (!(error instanceof SelectorError)) throw error;
    return [{ path, reason: `${error.message}: write it as for kubectl -l, as app=dd-agent` }];
  }
}

function portsFaults(address: AddressSpec, addressPath: string, claimed: Map<string, string>): Fault[] {
  if (address.ports.length === 0) {
    return [
      { path: `${addressPath}.ports`, reason: "is empty: at least one port is needed, as [{port: 8126}]" },
    ];
  }
  const names = new Map<string, string>();
  return address.ports.flatMap((port, index) => {
    const path = `${addressPath}.ports[${index}]`;
    return [
      ...portNumberFaults(port.port, `${path}.port`),
      ...targetPortFaults(port.targetPort, `${path}.targetPort`),
      ...protocolFaults(port.protocol, `${path}.protocol`),
      ...duplicateFaults(
        `${address.ipAddress}:${port.port}/${port.protocol ?? "TCP"}`,
        `${path}.port`,
        claimed,
      ),
      ...(port.name === undefined ? [] : portNameFaults(port.name, `${path}.name`, names)),
    ];
  });
}

function portNumberFaults(port: number, path: string): Fault[] {
  if (Number.isInteger(port) && port >= 1 && port <= 65535) return [];
  return [{ path, reason: `${port} is not a port: write a whole number from 1 to 65535` }];
}

function targetPortFaults(targetPort: number | string | undefined, path: string): Fault[] {
  if (targetPort === undefined) return [];
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
  return [{ path, reason: `"${protocol}" is not a protocol: write TCP or UDP` }];
}

function duplicateFaults(claim: string, path: string, claimed: Map<string, string>): Fault[] {
  const first = claimed.get(claim);
  claimed.set(claim, first ?? path);
  return first === undefined
    ? []
    : [{ path, reason: `${claim} is taken by ${first}: a port can lead to one target only` }];
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

/** RFC 6335 service name, as the API server demands of a container port's name. */
function isPortName(name: string): boolean {
  return /^[a-z0-9-]{1,15}$/.test(name) && /[a-z]/.test(name) && !/^-|-$|--/.test(name);
}
