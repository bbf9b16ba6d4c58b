import { type Binding, bindingName, type DesiredState, sameSettings } from "../../desired/state.ts";
import { chainsOf } from "./chains.ts";
import { liveChanges, type NamedObject, objectsOf, targetElements } from "./objects.ts";

/** Packets and bytes that elements of sets have counted, by `set key`. */
export type ElementCounts = Map<string, { packets: number; bytes: number }>;

/** The name of an installation's table, in family inet. The instance is validated where it is configured. */
export function tableName(instance: string): string {
  return `magic-ip-${instance}`;
}

/** Identifies a write: its time, in seconds since 1970, and its number. Both are less than 2³². */
export interface Stamp {
  time: number;
  /** From `firstNumber` on. */
  number: number;
}

/**
 * From this number on, the agent also writes a stamp every minute, with the time of the last write, to show that it
 * runs. Agents of earlier versions do not, and have smaller numbers.
 */
export const firstNumber = 2 ** 31;

/** What a table keeps in addition to its state. */
export interface Keepsakes {
  /** Bindings go on counting from here. */
  counts?: ElementCounts;
  /** Its time tells an agent that starts without an API server how old its rules are. */
  stamp?: Stamp;
}

/** The set with the stamp of the last write, as its only element. */
export const stampSet = "written";

/**
 * The set with two digests of the frame as its only element: of the text that it was written from, and of what the
 * kernel showed then. An agent that starts and finds both unchanged does not write the frame again.
 */
export const layoutSet = "layout";

/**
 * The whole table as nft text for one `nft -f -`: add, delete and define make one transaction, which replaces this
 * installation's table, whatever was in it, or changes nothing.
 */
export function ruleset(state: DesiredState, { counts = new Map(), stamp }: Keepsakes = {}): string {
  const name = tableName(state.instance);
  const objects = objectsOf(state);
  return [
    `table inet ${name}`,
    `delete table inet ${name}`,
    `table inet ${name} {`,
    ...(stamp === undefined ? [] : [stampText(stamp)]),
    ...objects.map((object) => objectText(object, counts)),
    `${chainsOf(state, objects).trimEnd()}\n}\n`,
  ].join("\n");
}

/** The table without elements and keepsakes. */
export function frameText(state: DesiredState, objects: NamedObject[]): string {
  const sets = objects.map((object) => objectText({ ...object, elements: [] }, new Map()));
  return [...sets, chainsOf(state, objects)].join("\n");
}

/** How many rules each chain of the table has: one line is one rule. */
export function chainSizes(table: string): Map<string, number> {
  const chains = [...table.matchAll(/^\tchain (\S+) \{\n((?:\t\t.*\n)*)\t\}$/gm)];
  return new Map(
    chains.map(([, name = "", lines = ""]) => [
      name,
      lines.split("\n").filter((line) => line !== "" && !line.startsWith("\t\ttype ")).length,
    ]),
  );
}

/** Elements to delete from a set or map, and to add to it. */
export interface Change {
  set: string;
  removed: string[];
  added: string[];
}

/**
 * The changes of elements that lead from one state to another; undefined if more than elements differs, as after a
 * change of the configuration. Its cost is that of what changed.
 */
export function difference(before: DesiredState, after: DesiredState): Change[] | undefined {
  if (!sameFrame(before, after)) return undefined;
  const changes = new Changes();
  after.bindings.forEach((binding, index) => {
    const old = before.bindings[index];
    if (old !== undefined && old !== binding)
      changes.take(...targetElements(old), targetElements(binding)[1]);
  });
  for (const [set, old, young] of liveChanges(before.live, after.live)) changes.take(set, old, young);
  return changes.all();
}

/** The stamp as an element of its set. */
export function stampKey({ time, number }: Stamp): string {
  return `${time} . ${number}`;
}

function stampText(stamp: Stamp): string {
  const written = `	set ${stampSet} {\n		type mark . mark\n		elements = { ${stampKey(stamp)} }\n	}\n`;
  return `${written}\n	set ${layoutSet} {\n		type mark . mark . mark . mark\n	}\n`;
}

/** Elements to delete and to add, by set or map. */
class Changes {
  #bySet = new Map<string, Change>();

  take(set: string, before: Iterable<string>, after: Iterable<string>): void {
    const old = new Set(before);
    const young = new Set(after);
    const [removed, added] = [[...old.difference(young)], [...young.difference(old)]];
    if (removed.length + added.length === 0) return;
    const change = this.#bySet.get(set) ?? { set, removed: [], added: [] };
    change.removed.push(...removed);
    change.added.push(...added);
    this.#bySet.set(set, change);
  }

  all(): Change[] {
    return [...this.#bySet.values()];
  }
}

/** Whether the table differs in nothing but the elements that pods change. */
function sameFrame(a: DesiredState, b: DesiredState): boolean {
  return (
    a.bindings.length === b.bindings.length &&
    a.bindings.every((binding, index) => sameFrontend(binding, b.bindings[index])) &&
    sameSettings(a, b)
  );
}

function sameFrontend(a: Binding, b: Binding | undefined): boolean {
  if (a === b) return true;
  return (
    b !== undefined &&
    bindingName(a) === bindingName(b) &&
    a.loadBalance === b.loadBalance &&
    a.whenNoTarget === b.whenNoTarget
  );
}

function objectText({ name, kind, type, counter, elements }: NamedObject, counts: ElementCounts): string {
  const lines = [`	${kind} ${name} {`, `		${type}`];
  if (counter) lines.push("		counter");
  const texts = counter
    ? elements.map((element) => counted(element, counts.get(`${name} ${element}`)))
    : elements;
  if (texts.length > 0) lines.push(`		elements = {\n${texts.map((element) => `			${element}`).join(",\n")}\n		}`);
  return [...lines, "	}\n"].join("\n");
}

function counted(element: string, count: { packets: number; bytes: number } | undefined): string {
  return count === undefined ? element : `${element} counter packets ${count.packets} bytes ${count.bytes}`;
}
