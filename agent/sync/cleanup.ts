import type { Frontend } from "../desired/state.ts";
import type { Backend, Flows } from "../kernel.ts";
import { flowTable } from "../desired/flows.ts";

/** Parts of an installation that could not be removed or looked for. */
export class CleanupError extends Error {
  override name = "CleanupError";

  constructor(readonly faults: Fault[]) {
    super(faults.map(({ part, error }) => `${part}: ${error.message}`).join("; "));
  }
}

/** The failure of a backend or of conntrack. */
export interface Fault {
  part: string;
  error: Error;
}

/** The progress of a removal, so that the next attempt continues where the last one failed. */
export class Removal {
  readonly gone: Frontend[] = [];
  /** The backends whose rules are removed. */
  readonly done = new Set<string>();
  found = false;

  get ipAddresses(): string[] {
    return [...new Set(this.gone.map(({ ipAddress }) => ipAddress))];
  }
}

/**
 * Removes an installation from the node: the rules that any backend wrote for it, and the flows to its magic IPs.
 * Returns those magic IPs, or undefined when there was nothing to remove. A failed backend does not stop the others.
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

/** Removes the rules, then looks for them again, because a tool may report success and remove nothing. */
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

/** Runs the action for all parts at the same time; returns the failures. */
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

/** The output of a node's cleanup, and the parts that could not be looked at or removed. */
export interface NodeCleanup {
  text: string;
  faults: Fault[];
}

/** Removes the named installation from the node, or all installations. */
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

/** Iptables chains whose rules were flushed name no installation; only the prefix of their names identifies them. */
function cleanedLine(name: string, ips: string[]): string {
  const who = name.startsWith("MAGICIP-") ? `an unknown installation (${name})` : name;
  return `${who}: removed the rules${ips.length === 0 ? "" : ` and flows of ${ips.join(", ")}`}\n`;
}

/** Without repetitions: a backend that fails does so for each installation. */
function distinct(faults: Fault[]): Fault[] {
  return [...new Map(faults.map((fault) => [`${fault.part} ${fault.error.message}`, fault])).values()];
}

/**
 * Deletes the conntrack entries of flows to these frontends, in any state, except to the kept ones: where two
 * installations share a magic IP, the other's connections go on. @throws {CommandError}
 */
async function endFlowsTo(frontends: Frontend[], kept: Frontend[], flows: Flows): Promise<void> {
  const table = flowTable({ states: [], gone: { frontends, connections: true }, claims: kept });
  for (const kind of ["datagrams", "connections"] as const) await flows.pass(kind, table);
}
