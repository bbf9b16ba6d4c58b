import type { Frontend } from "../desired.ts";
import type { NamedObject } from "./objects.ts";
import { type ElementCounts, stampSet } from "./nftables.ts";

/** A table as `nft --numeric list table` prints it. */
export interface Listing {
  /** All of it but elements and counters. */
  frame: string;
  /** Elements by set and map, in the order of their text. */
  elements: Map<string, string[]>;
  /** What the elements have counted. */
  counts: ElementCounts;
}

const protocols: [number: string, name: string][] = [
  ["6", "tcp"],
  ["17", "udp"],
  ["132", "sctp"],
];

/** Reads a listing; elements come back in the words of `objectsOf`. */
export function parseListing(text: string): Listing {
  const listing: Listing = { frame: "", elements: new Map(), counts: new Map() };
  const frame = text.replace(
    /(\t(?:set|map) (\S+) \{\n[^{}]*?)\t\telements = \{([^{}]*)\}\n/g,
    (_all, head: string, name: string, elements: string) => {
      listing.elements.set(name, parseElements(name, elements, listing.counts));
      return head;
    },
  );
  listing.frame = frame.replace(/counter packets \d+ bytes \d+/g, "counter");
  return listing;
}

/**
 * How many rules each chain of a table has, of our own text and of a listing alike: nft words rules in its own way, but
 * one line is one rule.
 */
export function chainSizes(table: string): string {
  const chains = [...table.matchAll(/^\tchain (\S+) \{\n((?:\t\t.*\n)*)\t\}$/gm)];
  const sizes = chains.map(([, name, rules = ""]) => `${name} ${rules.split("\n").length - 1}`);
  return sizes.toSorted().join("\n");
}

/** Whether the table holds these sets and maps with these elements and no others. */
export function holdsObjects({ elements }: Listing, objects: NamedObject[]): boolean {
  const wanted = objects.filter((object) => object.elements.length > 0);
  const present = [...elements.keys()].filter((name) => name !== stampSet);
  return (
    wanted.length === present.length &&
    wanted.every((object) => {
      const listed = elements.get(object.name);
      const expected = object.elements.toSorted();
      return (
        listed?.length === expected.length && listed.every((element, index) => element === expected[index])
      );
    })
  );
}

/** When the table was last written to, in seconds since 1970. */
export function writeTimeOf({ elements }: Listing): number | undefined {
  const [stamp] = elements.get(stampSet) ?? [];
  return stamp === undefined ? undefined : Number(stamp.split(" . ")[0]);
}

/** What the table is for: the keys of its `traffic` sets. */
export function frontendsOf({ elements }: Listing): Frontend[] {
  return [...elements]
    .filter(([name]) => /^traffic(-ranges|-whole)?[46]$/.test(name))
    .flatMap(([, keys]) => keys)
    .flatMap((key) => parseKey(key) ?? []);
}

/** The counters of a set's element, zero where there is none. */
export function countOf({ counts }: Listing, set: string, key: string): { packets: number; bytes: number } {
  return counts.get(`${set} ${key}`) ?? { packets: 0, bytes: 0 };
}

function parseElements(name: string, text: string, counts: ElementCounts): string[] {
  const elements = text.split(",").map((part) => {
    const [, before = "", packets, bytes, after = ""] =
      /^\s*(.*?)(?: counter(?: packets (\d+) bytes (\d+))?)?( : .*?)?\s*$/s.exec(part) ?? [];
    const element = named(before) + after;
    if (packets !== undefined)
      counts.set(`${name} ${element}`, { packets: Number(packets), bytes: Number(bytes) });
    return element;
  });
  return elements.sort();
}

/** `--numeric` keeps nft from asking /etc/protocols, which an image may lack. */
function named(text: string): string {
  // An older layout has a range as an interval of its set.
  const key = text.replace(/ \. (\d+)-(\d+)$/, " . $1 . $2");
  const parts = key.split(" . ");
  const protocol = protocols.find(([number]) => number === parts[1]);
  if (parts.length < 3 || protocol === undefined) return key;
  return [parts[0], protocol[1], ...parts.slice(2)].join(" . ");
}

function parseKey(key: string): Frontend | undefined {
  const [ipAddress = "", protocol, port = "0", endPort = port] = key.split(" . ");
  if (protocol === undefined) return { ipAddress, protocol: undefined, port: 0, endPort: 65535 };
  if (protocol !== "tcp" && protocol !== "udp" && protocol !== "sctp") return undefined;
  return { ipAddress, protocol, port: Number(port), endPort: Number(endPort) };
}
