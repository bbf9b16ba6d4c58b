import { type Binding, bindingName, type DesiredState, sameSettings } from "../desired.ts";
import { chainsOf } from "./chains.ts";
import { liveChanges, type NamedObject, objectsOf, targetElements } from "./objects.ts";

/** Packets and bytes that elements of sets have counted, by `set key`. */
export type ElementCounts = Map<string, { packets: number; bytes: number }>;

/** The name of an installation's table, in family inet. The instance is validated where it is configured. */
export function tableName(instance: string): string {
  return `magic-ip-${instance}`;
}

/** A write of ours: when, in seconds since 1970, and which of this agent's it is. Both are less than 2³². */
export interface Stamp {
  time: number;
  number: number;
}

/** What a table keeps over and above its state. */
export interface Keepsakes {
  /** Bindings go on counting from here. */
  counts?: ElementCounts;
  /** An agent that starts without an API server can tell by it how old its rules are. */
  stamp?: Stamp;
}

/** The set with the stamp of the last write, as its only element. */
export const stampSet = "written";

/**
 * The whole table as nft text, for one `nft -f -`: add, delete and define make one transaction that replaces the table
 * of this installation whatever stood in it, or leaves everything as it was.
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

/** The transaction that takes an installation's table away; it succeeds when there is none. */
export function removal(instance: string): string {
  const name = tableName(instance);
  return `table inet ${name}\ndelete table inet ${name}\n`;
}

/**
 * The transaction that brings the table from one state to another by elements: "" when there is nothing to do, undefined
 * when more than elements differ, as after a change of the configuration. Its cost is that of what changed.
 */
export function difference(before: DesiredState, after: DesiredState, stamp?: Stamp): string | undefined {
  if (!sameFrame(before, after)) return undefined;
  const changes = new Changes();
  after.bindings.forEach((binding, index) => {
    const old = before.bindings[index];
    if (old !== undefined && old !== binding)
      changes.take(...targetElements(old), targetElements(binding)[1]);
  });
  for (const [set, old, young] of liveChanges(before.live, after.live)) changes.take(set, old, young);
  const table = tableName(after.instance);
  const text = changes.text(table);
  if (text === "" || stamp === undefined) return text;
  const element = `${stampSet} { ${stampKey(stamp)} }`;
  return `${text}flush set inet ${table} ${stampSet}\nadd element inet ${table} ${element}\n`;
}

/** Asks for a stamp; the kernel has it when the answer contains `stampAnswer`. */
export function stampQuestion(instance: string, stamp: Stamp): string {
  return `get element inet ${tableName(instance)} ${stampSet} { ${stampKey(stamp)} }`;
}

/** As nft prints marks. */
export function stampAnswer({ time, number }: Stamp): string {
  return [time, number].map((mark) => `0x${mark.toString(16).padStart(8, "0")}`).join(" . ");
}

function stampKey({ time, number }: Stamp): string {
  return `${time} . ${number}`;
}

function stampText(stamp: Stamp): string {
  return `	set ${stampSet} {\n		type mark . mark\n		elements = { ${stampKey(stamp)} }\n	}\n`;
}

/** Elements to delete and to add, by set or map. */
class Changes {
  #removed = new Map<string, string[]>();
  #added = new Map<string, string[]>();

  take(name: string, before: Iterable<string>, after: Iterable<string>): void {
    const old = new Set(before);
    const young = new Set(after);
    append(this.#removed, name, old.difference(young));
    append(this.#added, name, young.difference(old));
  }

  /** Deletions first: a key has one element at a time. */
  text(table: string): string {
    const line = (verb: string, name: string, elements: string[]) =>
      `${verb} element inet ${table} ${name} { ${elements.join(", ")} }\n`;
    return [
      ...[...this.#removed].map(([name, elements]) => line("delete", name, elements)),
      ...[...this.#added].map(([name, elements]) => line("add", name, elements)),
    ].join("");
  }
}

function append(map: Map<string, string[]>, name: string, elements: Set<string>): void {
  if (elements.size > 0) map.set(name, [...(map.get(name) ?? []), ...elements]);
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
