import { deleteFlowsTo } from "./netfilter/conntrack.ts";
import { applyRuleset, listTable } from "./netfilter/nftables.ts";
import { removal } from "./ruleset/nftables.ts";

/**
 * Leaves the node as it was before the installation: its table and the flows to its magic IPs go. Returns the magic
 * IPs that it had, or undefined when there was nothing to remove.
 * @throws {CommandError}
 */
export async function cleanUp(instance: string): Promise<string[] | undefined> {
  const listing = await listTable(instance);
  if (listing === undefined) return undefined;
  await applyRuleset(removal(instance));
  const ipAddresses = magicIps(listing);
  for (const ipAddress of ipAddresses) await deleteFlowsTo(ipAddress);
  return ipAddresses;
}

/** The kernel knows what this table claimed; the configuration may be gone already. */
function magicIps(listing: string): string[] {
  const elements = /set ips4 \{[^{}]*elements = \{([^}]*)\}/.exec(listing)?.[1] ?? "";
  return elements
    .split(",")
    .map((element) => element.trim())
    .filter((element) => element !== "");
}
