import type { Backend } from "./netfilter/backend.ts";
import type { Conntrack } from "./netfilter/conntrack.ts";

/**
 * Leaves the node as it was before the installation: its rules, whatever backend wrote them, and the flows to its magic
 * IPs go. Returns the magic IPs that it had, or undefined when there was nothing to remove.
 * @throws {CommandError}
 */
export async function cleanUp(
  instance: string,
  backends: Backend[],
  conntrack: Conntrack,
): Promise<string[] | undefined> {
  const removed: (string[] | undefined)[] = [];
  for (const backend of backends) removed.push(await backend.remove(instance));
  if (removed.every((ips) => ips === undefined)) return undefined;
  const ipAddresses = [...new Set(removed.flatMap((ips) => ips ?? []))];
  for (const ipAddress of ipAddresses) await conntrack.endAll(ipAddress);
  return ipAddresses;
}
