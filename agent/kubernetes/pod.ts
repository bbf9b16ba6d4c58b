import type { V1Container, V1Pod } from "@kubernetes/client-node";
import { formatIpv6, parseIpv6 } from "../../component/address/ipv6.ts";
import type { Address } from "../config/config.ts";
import type { Fields, Shape } from "./json.ts";

/** What matters of a pod, and nothing else: the agent holds one of these for each pod that its selectors match. */
export interface Pod {
  namespace: string;
  name: string;
  uid: string;
  /** Of the API server's object; grows with each change of it. */
  version: string;
  nodeName: string;
  labels: Record<string, string>;
  /** RFC 3339, as the API server writes it; compares as text. */
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

/** What each address may know of the pods: one selector's watch may be behind another's, or have nothing to tell yet. */
export interface Sight {
  /** Whether the address's pods were listed at least once. */
  knows(address: Address): boolean;
  /** Whether the address's own watch has the pod. */
  sees(address: Address, pod: Pod): boolean;
}

/**
 * What of an API server's pod `podFromApi` needs, with the labels that selectors name, and with ports where an address
 * names one. Those who may create pods decide how large they are: of one, no more than 120 KiB are kept, and the lists no
 * longer than a pod that works has them.
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
  // Their own bytes: the API server writes nodeName and hostNetwork after them.
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
      // It comes last: what a spec has too much of does not take its place.
      status: { fields: status, most: 16_384 },
    },
    // Of what is beside them, as an event's message.
    most: 16_384,
  };
}

/** Takes what matters out of a pod as the API server sends it. Absent fields, and null, become their zero value. */
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

/** In canonical text, for one IPv6 address has many spellings, and two pods may each write theirs. */
function podIps({ status }: V1Pod): string[] {
  const ips = status?.podIPs?.map(({ ip }) => ip) ?? [status?.podIP];
  return ips.flatMap((ip) => {
    if (typeof ip !== "string" || ip === "") return [];
    const value = parseIpv6(ip);
    return [value === undefined ? ip : formatIpv6(value)];
  });
}

/** Containers and, since Kubernetes 1.29 (KEP-753), init containers that go on running. */
function servingContainers({ spec }: V1Pod): V1Container[] {
  const sidecars = spec?.initContainers?.filter(({ restartPolicy }) => restartPolicy === "Always") ?? [];
  return [...(spec?.containers ?? []), ...sidecars];
}

/** The API server has checked the numbers; a port becomes part of a rule's text, so this does not rely on it. */
function namedPorts({ ports }: V1Container): NamedPort[] {
  return (ports ?? []).flatMap(({ name, protocol, containerPort: port }) => {
    const isPort = Number.isInteger(port) && port >= 1 && port <= 65_535;
    return !name || !isPort ? [] : [{ name, protocol: (protocol ?? "TCP").toLowerCase(), port }];
  });
}
