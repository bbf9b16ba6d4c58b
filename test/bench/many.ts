/** The size that the agent is made for: 1,000 addresses with 10 ports each, on 100 pods of one node. */
export const many = { addresses: 1_000, ports: 10, pods: 100 };

/** As the configuration has it. Every pod is the target of ten addresses. */
export function manyAddresses(namespace: string): Record<string, unknown>[] {
  const ports = Array.from({ length: many.ports }, (_, index) => ({ port: 8000 + index }));
  return Array.from({ length: many.addresses }, (_, index) => ({
    ipAddress: `169.254.${200 + Math.floor(index / 250)}.${(index % 250) + 1}`,
    namespace,
    selector: `bench=${groupOf(index % many.pods)}`,
    ports,
  }));
}

/** The labels of the pod with that number. */
export function labelsOf(pod: number): Record<string, string> {
  return { bench: groupOf(pod) };
}

/** The IP of a pod after so many changes. */
export function podIp(pod: number, change = 0): string {
  return `10.99.${change % 250}.${pod + 1}`;
}

function groupOf(pod: number): string {
  return `group-${pod}`;
}
