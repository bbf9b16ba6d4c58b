import type { Frontend } from "../desired/state.ts";
import type { Backend, Flows } from "../kernel.ts";
import { flowTable } from "../desired/flows.ts";

/** What of an installation could not be removed, or not be looked for. */
export class CleanupError extends Error {
  override name = "CleanupError";

  constructor(readonly faults: Fault[]) {
    super(faults.map(({ part, error }) => `${part}: ${error.message}`).join("; "));
  }
}

/** A backend, or conntrack, that did not do its part. */
export interface Fault {
  part: string;
  error: Error;
}

/** What an installation had, of attempts that failed in part: the next one goes on from there. */
export class Removal {
  readonly gone: Frontend[] = [];
  /** The backends that are done. */
  readonly done = new Set<string>();
  found = false;

  get ipAddresses(): string[] {
    return [...new Set(this.gone.map(({ ipAddress }) => ipAddress))];
  }
}

/**
 * Leaves the node as it was before the installation: its rules, whatever backend wrote them, and the flows to what it had
 * go. Returns the magic IPs that it had, or undefined when there was nothing to remove. A backend that fails keeps no other
 * from its part.
 * @throws {CleanupError}
 */
export async function cleanUp(
  instance: string,
  backends: Backend[],
  flows: Flows,
  removal = new Removal(),
): Promise<string[] | undefined> {
  const due = backends.filter(({ name }) => !removal.done.has(name));
  const faults = await eachPart(
    due,
    ({ name }) => name,
    (backend) => removeAll(instance, backend, removal),
  );
  const failed = new Set(faults.map(({ part }) => part));
  const working = backends.filter(({ name }) => !failed.has(name));
  faults.push(
    ...(await eachPart(
      [removal.gone],
      () => "conntrack",
      async (gone) => {
        if (gone.length === 0) return;
        const claims = await Promise.all(working.map((backend) => backend.claims(instance)));
        await endFlowsTo(gone, claims.flat(), flows).catch((error: Error) => {
          const message = `the flows to ${removal.ipAddresses.join(", ")} may go on`;
          throw new Error(`${message}: ${error.message}`, { cause: error });
        });
      },
    )),
  );
  if (faults.length > 0) throw new CleanupError(faults);
  return removal.found ? removal.ipAddresses : undefined;
}

/** What they found is looked for again: a tool may say that it works and not do so. */
async function removeAll(instance: string, backend: Backend, removal: Removal): Promise<void> {
  const gone = await backend.remove(instance);
  if (gone !== undefined) {
    removal.gone.push(...gone);
    if ((await backend.remove(instance)) !== undefined)
      throw new Error("the rules are still there after they were removed");
    removal.found = true;
  }
  removal.done.add(backend.name);
}

/** Does it for each of them beside the others; what went wrong. */
async function eachPart<T>(
  parts: T[],
  name: (part: T) => string,
  action: (part: T) => Promise<void>,
): Promise<Fault[]> {
  const faults = parts.map((part) =>
    action(part).then(
      () => [],
      (error: Error) => [{ part: name(part), error }],
    ),
  );
  return (await Promise.all(faults)).flat();
}

/** What a cleanup of a node says, and what it could not do or look at. */
export interface NodeCleanup {
  text: string;
  faults: Fault[];
}

/** Removes this installation from the node, or all that there are. */
export async function cleanNode(
  named: string | undefined,
  backends: Backend[],
  flows: Flows,
): Promise<NodeCleanup> {
  const present = new Set<string>();
  const look = async (backend: Backend) => {
    for (const instance of await backend.instances()) present.add(instance);
  };
  const faults = named === undefined ? await eachPart(backends, ({ name }) => name, look) : [];
  const lines: string[] = [];
  for (const instance of named === undefined ? [...present].toSorted() : [named]) {
    const removal = new Removal();
    await cleanUp(instance, backends, flows, removal).catch((error: unknown) => {
      if (!(error instanceof CleanupError)) throw error;
      faults.push(...error.faults);
    });
    if (removal.found) lines.push(cleanedLine(instance, removal.ipAddresses));
  }
  if (lines.length === 0 && faults.length === 0) lines.push("nothing to clean up on this node\n");
  return { text: lines.join(""), faults: distinct(faults) };
}

/** Chains of iptables whose rules that say whose they are were flushed are known by the start of their names only. */
function cleanedLine(name: string, ips: string[]): string {
  const who = name.startsWith("MAGICIP-") ? `an unknown installation (${name})` : name;
  return `${who}: removed the rules${ips.length === 0 ? "" : ` and flows of ${ips.join(", ")}`}\n`;
}

/** One that fails does so for each installation. */
function distinct(faults: Fault[]): Fault[] {
  return [...new Map(faults.map((fault) => [`${fault.part} ${fault.error.message}`, fault])).values()];
}

/**
 * Ends the flows to these frontends, in whatever state, but for those that are kept: of a magic IP that two installations
 * share, the other's connections go on. @throws {CommandError}
 */
async function endFlowsTo(frontends: Frontend[], kept: Frontend[], flows: Flows): Promise<void> {
  const table = flowTable({ states: [], gone: { frontends, connections: true }, claims: kept });
  for (const kind of ["datagrams", "connections"] as const) await flows.pass(kind, table);
}
