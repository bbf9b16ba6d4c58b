import {
  bindingName,
  type Claim,
  type DesiredState,
  familyOf,
  type Frontend,
  type HeldRules,
} from "../desired/state.ts";
import type { Backend, BindingCount, Count, Presence } from "../kernel.ts";
import { frontendOf } from "../ruleset/nftables/frontends.ts";
import {
  chainSizes,
  difference,
  type ElementCounts,
  firstNumber,
  layoutSet,
  ruleset,
  type Stamp,
  tableName,
} from "../ruleset/nftables/table.ts";
import { digit, key, type NamedObject, objectsOf, shapeOf, shapes } from "../ruleset/nftables/objects.ts";
import { type Command, command } from "./command.ts";
import {
  afterChanges,
  changeLines,
  comparedLines,
  differing,
  type Expected,
  expectedOf,
  keyOf,
  layoutKey,
  placeOf,
  stampLines,
} from "./expected.ts";
import { NetlinkError } from "./netlink.ts";
import { littleEndian, nodeTables, type Tables } from "./tables.ts";

/** What is in the kernel as far as we know. */
interface Written {
  state: DesiredState;
  /** The digest of all but the elements, as the kernel had it right after the last replacement. */
  frame: string;
  expected: Expected;
  /** The generation of the node's rulesets in which the table was last found complete. */
  verified: unknown;
}

/** Elements of a set, held and wanted: fewer are compared one by one, with more the table is replaced. */
const mostCompared = 50_000;

/** The rules as one nftables table, `inet magic-ip-<instance>`. */
export class NftablesBackend implements Backend {
  readonly name = "nftables";
  #written: Written | undefined;
  #writing = false;
  #claims: { generation: unknown; claims: Claim[] } | undefined;
  #writes = firstNumber;
  #refreshing: Promise<void> = Promise.resolve();

  /** Whole tables are written by nft; all else goes through the netlink program. */
  constructor(
    readonly run: Command = command,
    readonly tables: Tables = nodeTables,
  ) {}

  /**
   * Changes elements if only elements differ, else replaces the whole table. Either is one transaction, which the
   * kernel applies as a whole or not at all. A replacement keeps the counters.
   */
  async write(state: DesiredState): Promise<void> {
    this.#writing = true;
    await this.#refreshing.catch(() => {});
    await this.#write(state).finally(() => {
      this.#writing = false;
    });
  }

  async #write(state: DesiredState): Promise<void> {
    const written = this.#written;
    this.#written = undefined;
    try {
      this.#written =
        written === undefined ? await this.#adopted(state) : await this.#changed(written, state);
    } catch (error) {
      // The kernel refused because of a foreign change of an element: replacing the table corrects it.
      if (!(error instanceof NetlinkError) || error.code === undefined) throw error;
    }
    this.#written ??= await this.#replaced(state);
  }

  /** A write meanwhile makes the answer worthless; it is then true, so that it causes no further write. */
  async holds(): Promise<boolean> {
    if (this.#writing) return true;
    const written = this.#written;
    if (written === undefined) return false;
    const generation = await this.tables.generation();
    if (generation === written.verified) return true;
    const found = await this.tables.digest(written.state.instance);
    const holds = found?.frame === written.frame && differing(found, written.expected).length === 0;
    if (this.#writing || this.#written !== written) return true;
    if (holds) written.verified = generation;
    else this.#written = undefined;
    return holds;
  }

  /** Claims are read anew only after a transaction on the node. */
  async claims(instance: string): Promise<Claim[]> {
    const generation = await this.tables.generation();
    if (generation === undefined || this.#claims?.generation !== generation)
      this.#claims = { generation, claims: await this.tables.claims(instance) };
    return this.#claims.claims;
  }

  async presence(instance: string): Promise<Presence> {
    const handles = await this.tables.handles();
    return { own: handles.get(instance), instances: new Set(handles.keys()) };
  }

  async counts(): Promise<BindingCount[]> {
    if (this.#written === undefined) return [];
    const { state, expected } = this.#written;
    const none: Count = { packets: 0, bytes: 0 };
    const counts = new Map<string, BindingCount>();
    const all = state.bindings.map((binding) => {
      const suffix = `${shapeOf(binding)}${digit(familyOf(binding.ipAddress))}`;
      const type = expected.types.get(`traffic${suffix}`);
      const count = { binding: bindingName(binding), traffic: none, rejected: none, outside: none };
      if (type !== undefined) counts.set(`${suffix} ${keyOf(key(binding), type)}`, count);
      return count;
    });
    for (const set of expected.types.keys()) {
      const [, kind, suffix] = /^(traffic|rejected|outside)(\D*\d)$/.exec(set) ?? [];
      if (kind === undefined) continue;
      await this.tables.elements(state.instance, set, (key, _end, _data, count) => {
        const found = counts.get(`${suffix} ${key}`);
        if (found !== undefined) found[kind as "traffic"] = count;
      });
    }
    return all;
  }

  async writeTime(instance: string): Promise<number | undefined> {
    return (await this.tables.stamp(instance))?.time;
  }

  /** Does nothing during a write, which shows the same. It does not matter which agent wrote the rules. */
  async refresh(instance: string): Promise<void> {
    if (this.#writing) return;
    this.#refreshing = this.#refresh(instance);
    await this.#refreshing;
  }

  /** Counts on from the stamp in the table, which an agent before this one may have written. */
  async #refresh(instance: string): Promise<void> {
    const stamp = await this.tables.stamp(instance);
    if (stamp === undefined) return;
    this.#writes = Math.max(this.#writes, stamp.number) + 1;
    if (this.#writes >= 2 ** 32) this.#writes = firstNumber;
    await this.tables.change(instance, stampLines({ ...stamp, number: this.#writes }));
  }

  instances(): Promise<string[]> {
    return this.tables.instances();
  }

  frontends(instance: string): Promise<Frontend[]> {
    return this.tables.frontends(instance);
  }

  held(instance: string): Promise<HeldRules> {
    return this.tables.held(instance);
  }

  async remove(instance: string): Promise<Frontend[] | undefined> {
    if (!(await this.instances()).includes(instance)) return undefined;
    const frontends = await this.frontends(instance);
    if (this.#written?.state.instance === instance) this.#written = undefined;
    await this.tables.remove(instance);
    return frontends;
  }

  /** Changes elements; undefined if more than elements differs. */
  async #changed(written: Written, state: DesiredState): Promise<Written | undefined> {
    const changes = difference(written.state, state);
    if (changes === undefined) return undefined;
    if (changes.length === 0) return { ...written, state };
    await this.#transact(state, [...changeLines(changes, written.expected)]);
    return { ...written, state, expected: afterChanges(written.expected, changes), verified: undefined };
  }

  /**
   * Adopts the table in the kernel: that of an agent before this one, or our own after a foreign change of its
   * elements. It writes only the elements that pods change, and only where they differ.
   */
  async #adopted(state: DesiredState): Promise<Written | undefined> {
    const verified = await this.tables.generation();
    const found = await this.tables.digest(state.instance);
    if (found === undefined) return undefined;
    const objects = objectsOf(state);
    const layout = layoutKey(state, objects, found.frame);
    let isKnown = false;
    await this.tables.elements(state.instance, layoutSet, (key) => (isKnown = key === layout));
    if (!isKnown) return undefined;
    const written = { state, frame: found.frame, expected: expectedOf(objects), verified };
    const others = new Set(differing(found, written.expected));
    if (others.size === 0) return written;
    const changed = objects.filter(({ name }) => others.has(name));
    const isSmall = ({ name, elements }: NamedObject) =>
      elements.length + (found.sets.get(name)?.count ?? 0) < mostCompared;
    if (!changed.every((object) => object.dynamic && isSmall(object))) return undefined;
    const lines: string[] = [];
    for (const object of changed) lines.push(...(await this.#comparedLines(state, object)));
    await this.#transact(state, lines);
    // An element may have more than the lines set, as a limit that another program added: then the table is replaced.
    const after = await this.tables.digest(state.instance);
    const isRight = after?.frame === found.frame && differing(after, written.expected).length === 0;
    return isRight ? { ...written, verified: undefined } : undefined;
  }

  async #comparedLines({ instance }: DesiredState, object: NamedObject): Promise<Iterable<string>> {
    const present = new Map<string, string>();
    await this.tables.elements(instance, object.name, (key, end, data) =>
      present.set(placeOf({ key, end }), data),
    );
    return comparedLines(present, object);
  }

  async #replaced(state: DesiredState): Promise<Written> {
    const { instance } = state;
    const text = ruleset(state, { counts: await this.#counts(state), stamp: this.#stamp() });
    await this.run("nft", ["-f", "-"], text);
    const found = await this.tables.digest(instance);
    // nft may report success without writing, and another program may change the table before the look.
    if (found === undefined || !sameSizes(found.chains, chainSizes(text)))
      throw new Error(
        `the kernel has other chains of table inet ${tableName(instance)} than were just written`,
      );
    const objects = objectsOf(state);
    await this.#transact(state, [`add ${layoutSet} ${layoutKey(state, objects, found.frame)}`]);
    return { state, frame: found.frame, expected: expectedOf(objects), verified: undefined };
  }

  /** Best effort: a set that cannot be read loses its counts, and the table is replaced. */
  async #counts({ instance }: DesiredState): Promise<ElementCounts> {
    const counts: ElementCounts = new Map();
    for (const set of countingSets) {
      const take = (element: string, end: string, _data: string, count: Count) => {
        const frontend = count.packets > 0 ? frontendOf(set, element, end, littleEndian) : undefined;
        if (frontend !== undefined) counts.set(`${set} ${key(frontend)}`, count);
      };
      await this.tables.elements(instance, set, take).catch(() => {});
    }
    return counts;
  }

  /** In one transaction with a stamp, by which the monitor recognizes it as ours. */
  async #transact({ instance }: DesiredState, lines: string[]): Promise<void> {
    await this.tables.change(instance, [...lines, ...stampLines(this.#stamp())]);
  }

  #stamp(): Stamp {
    return { time: Math.floor(Date.now() / 1000), number: ++this.#writes };
  }
}

const countingSets = ["traffic", "rejected", "outside"].flatMap((kind) =>
  shapes.flatMap((shape) => [`${kind}${shape}4`, `${kind}${shape}6`]),
);

/** The digest names the chains that have rules. */
function sameSizes(found: Map<string, number>, wanted: Map<string, number>): boolean {
  const filled = [...wanted].filter(([, rules]) => rules > 0);
  return found.size === filled.length && filled.every(([chain, rules]) => found.get(chain) === rules);
}
