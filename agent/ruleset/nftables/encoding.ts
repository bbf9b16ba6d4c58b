import { formatIpv4, parseIpv4 } from "../../../component/address/ipv4.ts";
import { formatIpv6, parseIpv6 } from "../../../component/address/ipv6.ts";

/**
 * Elements of sets and maps as the kernel has them, in hex digits. Each part of a key or of data fills registers of
 * four bytes (nf_tables' NFT_REG32_SIZE), in network order; only numbers, as marks, are in the machine's order.
 */
export type Part = "ipv4" | "ipv6" | "protocol" | "port" | "number" | "interface";

/** What the elements of a set are made of. */
export interface ElementType {
  key: Part[];
  /** Undefined for a set, "verdict" for a verdict map. */
  data: Part[] | "verdict" | undefined;
}

/** An element in the kernel, or one to add. */
export interface Element {
  key: string;
  /** Empty unless it is an interval. */
  end: string;
  data: string;
  /** Of a verdict map, in place of data. */
  verdict?: string;
}

const protocols: Record<string, number> = { tcp: 6, udp: 17, sctp: 132 };

/** The words of `type` and of `typeof`. */
const parts: [pattern: RegExp, part: Part][] = [
  [/^(ipv4_addr|ip daddr)$/, "ipv4"],
  [/^(ipv6_addr|ip6 daddr)$/, "ipv6"],
  [/^(inet_proto|meta l4proto)$/, "protocol"],
  [/^(inet_service|th dport)$/, "port"],
  [/^(mark|numgen .*)$/, "number"],
  [/^ifname$/, "interface"],
];

/** Parses `type a . b : c` or `typeof x . y : z`, as in a set's definition. */
export function elementType(definition: string): ElementType {
  const [key = "", data] = definition.replace(/^type(of)? /, "").split(" : ");
  return { key: partsOf(key), data: data === undefined || data === "verdict" ? data : partsOf(data) };
}

/** `littleEndian`: the machine's byte order. Elements are texts of `objectsOf`: `key` or `key : data`. */
export function encode(text: string, { key, data }: ElementType, littleEndian: boolean): Element {
  const [keyText = "", dataText = ""] = text.split(" : ");
  const interval = keyText.includes("-") ? /^(.* )(\d+)-(\d+)(.*)$/.exec(keyText) : null;
  const isInterval = interval !== null;
  const [, before = "", first = "", last = "", after = ""] = interval ?? [];
  const keys = (isInterval ? before + first + after : keyText).split(" . ");
  const ends = isInterval ? (before + last + after).split(" . ") : [];
  // nft puts the bounds of intervals into network order, whatever their type is.
  const order = littleEndian && !isInterval;
  const element = {
    key: encodeAll(keys, key, order),
    end: isInterval ? encodeAll(ends, key, order) : "",
  };
  if (data === "verdict") return { ...element, data: "", verdict: dataText };
  return { ...element, data: data ? encodeAll(dataText.split(" . "), data, littleEndian) : "" };
}

/** The text of a key or of data; an interval is `8000-8010`. */
export function decode(hex: string, end: string, type: Part[], littleEndian: boolean): string {
  let at = 0;
  const words = type.map((part) => {
    const width = widths[part] * 2;
    const [first, last] = [hex, end].map((digits) => word(digits.slice(at, at + width), part, littleEndian));
    at += Math.ceil(width / 8) * 8;
    return end === "" || first === last ? first : `${first}-${last}`;
  });
  return words.join(" . ");
}

/** Widths in bytes. */
const widths: Record<Part, number> = { ipv4: 4, ipv6: 16, protocol: 1, port: 2, number: 4, interface: 16 };

function partsOf(text: string): Part[] {
  return text.split(" . ").map((name) => {
    const found = parts.find(([pattern]) => pattern.test(name));
    if (found === undefined) throw new Error(`no set of ours has parts of type ${name}`);
    return found[1];
  });
}

/** A single part keeps its length; one of several is padded to whole registers. */
function encodeAll(words: string[], type: Part[], littleEndian: boolean): string {
  if (type.length === 1) return digitsOnce(words[0] ?? "", type[0] ?? "number", littleEndian);
  let text = "";
  for (const [index, part] of type.entries()) {
    const own = digitsOnce(words[index] ?? "", part, littleEndian);
    text += own.length % 8 === 0 ? own : own.padEnd(Math.ceil(own.length / 8) * 8, "0");
  }
  return text;
}

/** A cache: ten thousand elements have some hundred different words. */
const known = new Map<string, string>();
const mostKnown = 2_000;

function digitsOnce(word: string, part: Part, littleEndian: boolean): string {
  if (part === "number") return digits(word, part, littleEndian);
  const name = part === "port" ? word : part + word;
  const found = known.get(name);
  if (found !== undefined) return found;
  if (known.size >= mostKnown) known.clear();
  const made = digits(word, part, littleEndian);
  known.set(name, made);
  return made;
}

function digits(word: string, part: Part, littleEndian: boolean): string {
  switch (part) {
    case "ipv4":
      return hex(parseIpv4(word) ?? 0, 4);
    case "ipv6":
      return hex(parseIpv6(word) ?? 0n, 16);
    case "protocol":
      return hex(protocols[word] ?? Number(word), 1);
    case "port":
      return hex(Number(word), 2);
    case "number":
      return swapped(hex(Number(word), 4), littleEndian);
    case "interface":
      return Array.from(word.replaceAll('"', ""), (letter) => hex(letter.charCodeAt(0), 1))
        .join("")
        .padEnd(32, "0");
  }
}

function word(text: string, part: Part, littleEndian: boolean): string {
  switch (part) {
    case "ipv4":
      return formatIpv4(Number.parseInt(text, 16));
    case "ipv6":
      return text === "" ? "" : formatIpv6(BigInt(`0x${text}`));
    case "protocol":
      return nameOf(Number.parseInt(text, 16));
    case "port":
      return String(Number.parseInt(text, 16));
    case "number":
      return String(Number.parseInt(swapped(text, littleEndian), 16));
    case "interface":
      return `"${Buffer.from(text, "hex").toString("latin1").replace(/\0.*$/s, "")}"`;
  }
}

function nameOf(number: number): string {
  return Object.entries(protocols).find(([, value]) => value === number)?.[0] ?? String(number);
}

function hex(value: number | bigint, bytes: number): string {
  return value.toString(16).padStart(bytes * 2, "0");
}

function swapped(text: string, littleEndian: boolean): string {
  return littleEndian ? (text.match(/../g) ?? []).reverse().join("") : text;
}
