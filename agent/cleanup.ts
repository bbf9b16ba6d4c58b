import type { Frontend } from "./desired.ts";
import { flowQueries, kindsOf, leadsTo } from "./flows.ts";
import type { Backend } from "./netfilter/backend.ts";
import type { Flows } from "./reconcile.ts";

/** The flows of the node's kernel, and all of a magic IP at once. */
export interface Ending extends Flows {
  endAll(ipAddress: string): Promise<void>;
}

/**
 * Leaves the node as it was before the installation: its rules, whatever backend wrote them, and the flows to what it had
 * go. Returns the magic IPs that it had, or undefined when there was nothing to remove.
 * @throws {CommandError}
 */
export async function cleanUp(
  instance: string,
  backends: Backend[],
  flows: Ending,
): Promise<string[] | undefined> {
  const removed: (Frontend[] | undefined)[] = [];
  for (const backend of backends) removed.push(await backend.remove(instance));
  if (removed.every((frontends) => frontends === undefined)) return undefined;
  const gone = removed.flatMap((frontends) => frontends ?? []);
  const claims = await Promise.all(backends.map((backend) => backend.claims(instance)));
  const ipAddresses = [...new Set(gone.map(({ ipAddress }) => ipAddress))];
  await endFlowsTo(gone, claims.flat(), flows).catch((error: Error) => {
    const message = `the rules are gone, and the flows to ${ipAddresses.join(", ")} may go on`;
    throw new Error(`${message}: ${error.message}`, { cause: error });
  });
  return ipAddresses;
}

/**
 * Ends the flows to these frontends, in whatever state, but for those that are kept: of a magic IP that two installations
 * share, the other's connections go on. @throws {CommandError}
 */
export async function endFlowsTo(gone: Frontend[], kept: Frontend[], flows: Ending): Promise<void> {
  const sharedIps = new Set(kept.map(({ ipAddress }) => ipAddress));
  const shared = gone.filter(({ ipAddress }) => sharedIps.has(ipAddress));
  for (const query of flowQueries(shared)) {
    const all = await flows.flows(query, { over: true });
    const own = all.filter((flow) => leadsTo(shared, flow) && !leadsTo(kept, flow));
    for (const flow of kindsOf(own)) await flows.end(flow);
  }
  const others = gone.filter(({ ipAddress }) => !sharedIps.has(ipAddress));
  for (const ipAddress of new Set(others.map(({ ipAddress }) => ipAddress))) await flows.endAll(ipAddress);
}
