import type { V1Container, V1Pod } from "@kubernetes/client-node";

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

/** Takes what matters out of a pod as the API server sends it. Absent fields become their zero value. */
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

function podIps({ status }: V1Pod): string[] {
  const ips = status?.podIPs?.map(({ ip }) => ip) ?? [status?.podIP];
  return ips.filter((ip): ip is string => typeof ip === "string" && ip !== "");
}

/** Containers and, since Kubernetes 1.29 (KEP-753), init containers that go on running. */
function servingContainers({ spec }: V1Pod): V1Container[] {
  const sidecars = spec?.initContainers?.filter(({ restartPolicy }) => restartPolicy === "Always") ?? [];
  return [...(spec?.containers ?? []), ...sidecars];
}

function namedPorts({ ports = [] }: V1Container): NamedPort[] {
  return ports.flatMap(({ name, protocol, containerPort }) =>
    name === undefined ? [] : [{ name, protocol: (protocol ?? "TCP").toLowerCase(), port: containerPort }],
  );
}
