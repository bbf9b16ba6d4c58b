import { Backend, ImagePullPolicy, Masquerade } from "./args";
import { parseImage } from "./image";
import { installationShape } from "./installationShape";
import { examine } from "./shape";
import { type AddressSpec, addressFaults, type Fault } from "./spec/address";

/** The arguments of an installation, as far as they are known. */
interface Known {
  addresses?: (KnownAddress | undefined)[];
  agent?: KnownAgent;
  values?: Record<string, unknown>;
}

interface KnownAddress extends Partial<Omit<AddressSpec, "ports">> {
  ports?: (KnownPort | undefined)[];
}

interface KnownAgent {
  namespace?: string;
  image?: string;
  imagePullPolicy?: string;
  pollInterval?: number;
  healthPort?: number;
  backend?: string;
  masquerade?: string;
  allowedCidrs?: (string | undefined)[];
}

interface KnownPort {
  name?: string;
  port?: number;
  endPort?: number;
  targetPort?: number;
  targetPortName?: string;
  protocol?: string;
}

/**
 * Every fault of an installation's arguments, with the path of the argument. Arguments that are not known yet (Outputs,
 * promises) are passed over: they are checked when they are.
 */
export function argumentFaults(name: string, args: unknown): Fault[] {
  const { plain, faults, unchecked } = examine(args, installationShape);
  const known = (plain ?? {}) as Known;
  const consequences = [
    ...specFaults(known.addresses ?? [], known.agent),
    ...targetPortFaults(known.addresses ?? []),
    ...agentFaults(known.agent),
    ...valuesFaults(known.values),
  ];
  const isChecked = ({ path }: Fault) => !unchecked.some((hidden) => overlap(hidden, path));
  const byPath = (a: Fault, b: Fault) => a.path.localeCompare(b.path, "en", { numeric: true });
  return [...nameFaults(name), ...[...faults, ...consequences.filter(isChecked)].sort(byPath)];
}

/** The fault as one of a component whose only address is its own arguments. */
export function ofOneAddress({ path, reason }: Fault): Fault {
  const own = (text: string) => text.replaceAll("addresses[0].", "");
  return { path: own(path), reason: own(reason) };
}

/** The name becomes that of the release (Helm: at most 53 characters), the DaemonSet, and a label's value. */
function nameFaults(name: string): Fault[] {
  if (/^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$/.test(name)) return [];
  return [
    {
      path: "name",
      reason: `"${name}" cannot name a DaemonSet: at most 53 lower-case letters, digits and "-", as dd-agent`,
    },
  ];
}

/** Where a port has a targetPortName, that is what a fault of its target port is about. */
function specFaults(addresses: NonNullable<Known["addresses"]>, agent: KnownAgent = {}): Fault[] {
  const allowedCidrs = (agent.allowedCidrs ?? []).map((cidr) => cidr ?? "unknown");
  return addressFaults(addresses.map(toSpec), allowedCidrs).map((fault) => {
    if (fault.path.startsWith("allowedCidrs")) return { ...fault, path: `agent.${fault.path}` };
    const [, i, j] = /^addresses\[(\d+)\]\.ports\[(\d+)\]\.targetPort$/.exec(fault.path) ?? [];
    const isNamed = addresses[Number(i)]?.ports?.[Number(j)]?.targetPortName !== undefined;
    return isNamed ? { ...fault, path: `${fault.path}Name` } : fault;
  });
}

/**
 * What is not known gets a value that is wrong and that nothing else has: its own fault is passed over, and it takes
 * nobody's port.
 */
function toSpec(address: KnownAddress | undefined, index: number): AddressSpec {
  return {
    ...address,
    ipAddress: address?.ipAddress ?? `unknown ${index}`,
    selector: address?.selector ?? "unknown",
    ports: (portsOf(address) ?? []).map((port, position) => ({
      ...port,
      port: port?.port ?? -1 - position,
      targetPort: port?.targetPortName ?? port?.targetPort,
    })),
  };
}

/** Without ports an address is a whole IP; it has one that is not known where its ports are there, but not known. */
function portsOf(address: KnownAddress = { ports: undefined }): KnownAddress["ports"] {
  return Object.hasOwn(address, "ports") ? (address.ports ?? [undefined]) : undefined;
}

function targetPortFaults(addresses: NonNullable<Known["addresses"]>): Fault[] {
  return addresses.flatMap((address, i) =>
    (address?.ports ?? []).flatMap((port, j) =>
      port?.targetPort === undefined || port.targetPortName === undefined
        ? []
        : [
            {
              path: `addresses[${i}].ports[${j}].targetPortName`,
              reason: `"${port.targetPortName}" is set beside targetPort ${port.targetPort}: set one of them`,
            },
          ],
    ),
  );
}

function agentFaults(agent: KnownAgent = {}): Fault[] {
  const { namespace, image, imagePullPolicy, pollInterval, healthPort, backend, masquerade } = agent;
  const isNamespace = (value: string) => /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(value);
  const isImage = (value: string) => parseImage(value) !== undefined;
  const oneOf = (words: Record<string, string>) => (value: string) => Object.values(words).includes(value);
  return [
    ...faultUnless(
      namespace,
      isNamespace,
      "namespace",
      'no namespace: at most 63 lower-case letters, digits and "-", as kube-system',
    ),
    ...faultUnless(
      image,
      isImage,
      "image",
      "no image: write repository[:tag][@sha256:digest], as magic-ip-address-agent:0.1.0",
    ),
    ...faultUnless(
      imagePullPolicy,
      oneOf(ImagePullPolicy),
      "imagePullPolicy",
      "no pull policy: write Always, IfNotPresent or Never",
    ),
    ...faultUnless(
      pollInterval,
      wholeUpTo(86400),
      "pollInterval",
      "no interval: write a whole number of seconds from 1 to 86400",
    ),
    ...faultUnless(
      healthPort,
      wholeUpTo(65535),
      "healthPort",
      "not a port: write a whole number from 1 to 65535",
    ),
    ...faultUnless(backend, oneOf(Backend), "backend", "no backend: write auto, nftables or iptables"),
    ...faultUnless(masquerade, oneOf(Masquerade), "masquerade", "no way to masquerade: write auto or always"),
  ];
}

function faultUnless<T>(
  value: T | undefined,
  isRight: (value: T) => boolean,
  field: string,
  complaint: string,
): Fault[] {
  if (value === undefined || isRight(value)) return [];
  return [{ path: `agent.${field}`, reason: `${JSON.stringify(value)} is ${complaint}` }];
}

function wholeUpTo(maximum: number): (value: number) => boolean {
  return (value) => Number.isInteger(value) && value >= 1 && value <= maximum;
}

function valuesFaults(values: Known["values"]): Fault[] {
  if (values?.fullnameOverride === undefined) return [];
  return [
    {
      path: "values.fullnameOverride",
      reason: "cannot be set: the component's own name is that of the DaemonSet, and its output says so",
    },
  ];
}

/** Whether one path is the other or a part of it. */
function overlap(a: string, b: string): boolean {
  const within = (inner: string, outer: string) =>
    inner === outer || inner.startsWith(`${outer}.`) || inner.startsWith(`${outer}[`);
  return within(a, b) || within(b, a);
}
