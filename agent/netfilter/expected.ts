import { createHash } from "node:crypto";
import type { DesiredState } from "../desired/state.ts";
import { type Digest, digestText, noElements, withElement } from "../ruleset/nftables/digest.ts";
import { type Element, type ElementType, elementType, encode } from "../ruleset/nftables/encoding.ts";
import { type Change, frameText, type Stamp, stampKey, stampSet } from "../ruleset/nftables/table.ts";
import type { NamedObject } from "../ruleset/nftables/objects.ts";
import { littleEndian, type TableDigest } from "./tables.ts";

/** What the kernel should hold, in the netlink program's encoding. */
export interface Expected {
  types: Map<string, ElementType>;
  /** The sum of the digests of each set's elements. */
  digests: Map<string, Digest>;
}

export function expectedOf(objects: NamedObject[]): Expected {
  const expected: Expected = { types: new Map(), digests: new Map() };
  for (const { name, type, elements } of objects) {
    const parts = elementType(type);
    const sum = (digest: Digest, text: string) => withElement(digest, encode(text, parts, littleEndian));
    expected.types.set(name, parts);
    expected.digests.set(name, elements.reduce(sum, noElements));
  }
  return expected;
}

/** What the kernel should hold after these changes. */
export function afterChanges({ types, digests }: Expected, changes: Change[]): Expected {
  const changed = new Map(digests);
  for (const { set, removed, added } of changes) {
    const parts = typeOf(types, set);
    let digest = digests.get(set) ?? noElements;
    for (const text of removed) digest = withElement(digest, encode(text, parts, littleEndian), -1);
    for (const text of added) digest = withElement(digest, encode(text, parts, littleEndian));
    changed.set(set, digest);
  }
  return { types, digests: changed };
}

/** The sets whose elements in the kernel differ from the expected ones. */
export function differing(found: TableDigest, { digests }: Expected): string[] {
  return [...digests].flatMap(([name, digest]) => {
    const set = found.sets.get(name);
    return set?.count === digest.count && set.digest === digestText(digest) ? [] : [name];
  });
}

/** The program's lines for changes. Deletions come first, because a key has one element at a time. */
export function* changeLines(changes: Change[], { types }: Expected): Generator<string> {
  for (const { set, removed } of changes)
    for (const text of removed)
      yield `delete ${set} ${placeOf(encode(text, typeOf(types, set), littleEndian))}`;
  for (const { set, added } of changes)
    for (const text of added) yield addition(set, encode(text, typeOf(types, set), littleEndian));
}

/** The lines that change a set from these elements in the kernel to the object's elements. */
export function* comparedLines(present: Map<string, string>, object: NamedObject): Generator<string> {
  const parts = elementType(object.type);
  const wanted = new Map(
    object.elements.map((text) => {
      const element = encode(text, parts, littleEndian);
      return [placeOf(element), element];
    }),
  );
  for (const [place, data] of present)
    if (wanted.get(place)?.data !== data) yield `delete ${object.name} ${place}`;
  for (const [place, element] of wanted)
    if (present.get(place) !== element.data) yield addition(object.name, element);
}

/** The lines that replace the last stamp by this one. */
export function stampLines(stamp: Stamp): string[] {
  const { key } = encode(stampKey(stamp), elementType("type mark . mark"), littleEndian);
  return [`flush ${stampSet}`, `add ${stampSet} ${key}`];
}

/** The key of the layout set: a digest of the text that the frame was written from, and the kernel's digest of it. */
export function layoutKey(state: DesiredState, objects: NamedObject[], frame: string): string {
  return `${createHash("sha256").update(frameText(state, objects)).digest("hex").slice(0, 16)}${frame}`;
}

/** An element's key; of an interval the first and the last one. */
export function placeOf({ key, end }: Pick<Element, "key" | "end">): string {
  return end === "" ? key : `${key}-${end}`;
}

/** The key of the set's element with this text. */
export function keyOf(text: string, type: ElementType): string {
  return encode(text, type, littleEndian).key;
}

function addition(set: string, element: Element): string {
  return `add ${set} ${placeOf(element)}${element.data && ` ${element.data}`}`;
}

function typeOf(types: Map<string, ElementType>, set: string): ElementType {
  const type = types.get(set);
  if (type === undefined) throw new Error(`there is no set ${set}`);
  return type;
}
