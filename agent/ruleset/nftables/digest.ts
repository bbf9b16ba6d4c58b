import type { Element } from "./encoding.ts";

/**
 * Digests of elements, as agent/netlink/digest.c computes them: two MurmurHash3 with different seeds, over 32-bit
 * words. A set's digest is the sum of its elements' digests, so that their order does not matter, and a change of one
 * element does not need the others.
 */
export interface Digest {
  count: number;
  one: number;
  two: number;
}

export const noElements: Digest = { count: 0, one: 0, two: 0 };

/** The sum with this element added, or (`times` -1) removed. */
export function withElement(sum: Digest, element: Element, times: 1 | -1 = 1): Digest {
  const words = wordsOf(element);
  return {
    count: sum.count + times,
    one: (sum.one + times * murmur(words, 0x6d616769)) >>> 0,
    two: (sum.two + times * murmur(words, 0x632d6970)) >>> 0,
  };
}

/** In the netlink program's notation. */
export function digestText({ one, two }: Digest): string {
  return [one, two].map((half) => half.toString(16).padStart(8, "0")).join("");
}

/** Stands for an attribute that an element does not have. */
const absent = 0xffffffff;

const verdictCodes: Record<string, number> = { drop: 0, accept: 1, goto: -4 };

function wordsOf({ key, end, data, verdict }: Element): number[] {
  const words: number[] = [];
  push(words, key);
  push(words, end);
  if (verdict === undefined) push(words, data);
  else {
    const [verb = "", chain = ""] = verdict.split(" ");
    words.push(verdictCodes[verb] ?? absent);
    words.push(chain.length);
    pushDigits(words, Buffer.from(chain, "latin1").toString("hex"));
  }
  // No flags.
  words.push(0);
  return words;
}

function push(words: number[], digits: string): void {
  words.push(digits === "" ? absent : digits.length / 2);
  pushDigits(words, digits);
}

function pushDigits(words: number[], digits: string): void {
  for (let at = 0; at < digits.length; at += 8)
    words.push(Number.parseInt(digits.slice(at, at + 8).padEnd(8, "0"), 16));
}

function murmur(words: number[], seed: number): number {
  let hash = seed;
  for (const each of words) {
    let word = Math.imul(each, 0xcc9e2d51);
    word = Math.imul((word << 15) | (word >>> 17), 0x1b873593);
    hash ^= word;
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
