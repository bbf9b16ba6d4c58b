import type { V1Container, V1Pod } from "@kubernetes/client-node";
import { formatIpv6, parseIpv6 } from "../../component/address/ipv6.ts";
import type { Address } from "../config/config.ts";
import type { Fields, Shape } from "./json.ts";

/** The parts of a pod that the agent uses; it keeps one of these for each pod that its selectors match. */
export interface Pod {
  namespace: string;
  name: string;
  uid: string;
  /** The object's resourceVersion; grows with each change of the object. */
  version: string;
  nodeName: string;
  labels: Record<string, string>;
  /** RFC 3339, as the API server writes it; can be compared as text. */
  created: string;
  terminating: boolean;
  phase: string;
  ready: boolean;
  hostNetwork: boolean;
  ips: string[];
  namedPorts: NamedPort[];
}

export interface NamedPort {
  name: string;
  protocol: string;
  port: number;
}

/** Which pods each address sees: the watch of one selector may be behind that of another, or may not have begun. */
export interface Sight {
  /** Whether the address's pods were listed at least once. */
  knows(address: Address): boolean;
  /** Whether the address's own watch has the pod. */
  sees(address: Address, pod: Pod): boolean;
}

/**
 * The shape of the parts of a pod that `podFromApi` reads, with the labels that selectors name, and with ports where an
 * address names a container port. A pod's owner decides how large the pod is: at most 120 KiB of one pod are kept, and
 * at most as many list items as a working pod has.
 */
export function podShape(labels: Iterable<string>, namedPorts = true): Fields {
  const text = "text" as const;
  const port = { fields: { name: text, protocol: text, containerPort: text } };
  const container = { fields: { restartPolicy: text, ports: { items: port, most: 256 } } };
  const metadata = {
    ...{ namespace: text, name: text, uid: text, resourceVersion: text },
    ...{ creationTimestamp: text, deletionTimestamp: text },
    labels: { fields: Object.fromEntries([...labels].map((key) => [key, text])) },
  };
  // A limit of their own, because the API server writes nodeName and hostNetwork after them.
  const containers = { items: container, most: 128, bytes: 32_768 };
  const status = {
    phase: text,
    conditions: { items: { fields: { type: text, status: text } }, most: 64 },
    podIP: text,
    podIPs: { items: { fields: { ip: text } }, most: 8 },
  };
  const ports: Record<string, Shape> = namedPorts ? { containers, initContainers: containers } : {};
  const spec = { nodeName: text, hostNetwork: text, ...ports };
  return {
    fields: {
      metadata: { fields: metadata, most: 16_384 },
      spec: { fields: spec, most: 4_096 },
      // The status comes last; its own limit keeps room for it after a large spec.
      status: { fields: status, most: 16_384 },
    },
    // For the fields beside these, such as an event's message.
    most: 16_384,
  };
}

/** Converts a pod as the API server sends it. Absent fields, and null, become the zero value of their type. */
export function podFromApi(pod: V1Pod): Pod {
  const { metadata, spec, status } = pod;
  return {
    namespace: metadata?.namespace ?? "",
    name: metadata?.name ?? "",
    uid: metadata?.uid ?? "",
    version: metadata?.resourceVersion ?? "",
    nodeName: spec?.nodeName ?? "",
    labels: metadata?.labels ?? {},
    created: String(metadata?.creationTimestamp ?? ""),
    terminating: metadata?.deletionTimestamp !== undefined && metadata.deletionTimestamp !== null,
    phase: status?.phase ?? "",
    ready: status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false,
    hostNetwork: spec?.hostNetwork ?? false,
    ips: podIps(pod),
    namedPorts: servingContainers(pod).flatMap(namedPorts),
  };
}

/** In canonical text, because one IPv6 address has many spellings, and two pods may use different ones. */
function podIps({ status }: V1Pod): string[] {
  const ips = status?.podIPs?.map(({ ip }) => ip) ?? [status?.podIP];
  return ips.flatMap((ip) => {
    if (typeof ip !== "string" || ip === "") return [];
    const value = parseIpv6(ip);
    return [value === undefined ? ip : formatIpv6(value)];
  });
}

/** Containers and, since Kubernetes 1.29 (KEP-753), init containers that keep running (restartPolicy Always). */
function servingContainers({ spec }: V1Pod): V1Container[] {
  const sidecars = spec?.initContainers?.filter(({ restartPolicy }) => restartPolicy === "Always") ?? [];
  return [...(spec?.containers ?? []), ...sidecars];
}

/** A port becomes part of a rule's text, so its number is checked here although the API server has checked it. */
function namedPorts({ ports }: V1Container): NamedPort[] {
  return (ports ?? []).flatMap(({ name, protocol, containerPort: port }) => {
    const isPort = Number.isInteger(port) && port >= 1 && port <= 65_535;
    return !name || !isPort ? [] : [{ name, protocol: (protocol ?? "TCP").toLowerCase(), port }];
  });
}
