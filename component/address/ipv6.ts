import { formatIpv4, parseIpv4 } from "./ipv4";

/** 128 bits, as eight groups of 16. */
const groups = 8;
const groupBits = 16n;
const groupMask = 0xffffn;

/**
 * The address as a number, or undefined when the text is none of RFC 4291 §2.2: eight groups of hexadecimal digits, one
 * run of zeros as "::", the last 32 bits optionally in dots. A zone ("%eth0") is no part of an address.
 */
export function parseIpv6(text: string): bigint | undefined {
  const halves = withoutDots(text)?.split("::") ?? [];
  if (halves.length < 1 || halves.length > 2) return undefined;
  const [head = [], tail = []] = halves.map((half) => (half === "" ? [] : half.split(":")));
  if (![...head, ...tail].every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  const zeros = groups - head.length - tail.length;
  // "::" is read for one group, too, although RFC 5952 §4.2.2 says that it must not be written so.
  if (halves.length === 2 ? zeros < 1 : zeros !== 0) return undefined;
  return [...head, ...Array<string>(zeros).fill("0"), ...tail].reduce(
    (value, group) => (value << groupBits) | BigInt(`0x${group}`),
    0n,
  );
}

/** The canonical text (RFC 5952): lower case, no leading zeros, the first of the longest runs of zeros as "::". */
export function formatIpv6(value: bigint): string {
  // IPv4-mapped addresses have their last 32 bits in dots: RFC 5952 §5, and so do nft and the kernel.
  if (value >> 32n === groupMask) return `::ffff:${formatIpv4(Number(value & 0xffff_ffffn))}`;
  const texts = Array.from({ length: groups }, (_, index) =>
    ((value >> (groupBits * BigInt(groups - 1 - index))) & groupMask).toString(16),
  );
  const { start, length } = longestZeros(texts);
  // RFC 5952 §4.2.2: a single zero group is written out.
  if (length < 2) return texts.join(":");
  return `${texts.slice(0, start).join(":")}::${texts.slice(start + length).join(":")}`;
}

/** The last 32 bits in dots (RFC 4291 §2.2, third form) as two groups; undefined when they are no IPv4 address. */
function withoutDots(text: string): string | undefined {
  if (!text.includes(".")) return text;
  const start = text.lastIndexOf(":") + 1;
  const ipv4 = parseIpv4(text.slice(start));
  if (start === 0 || ipv4 === undefined) return undefined;
  return `${text.slice(0, start)}${Math.floor(ipv4 / 0x10000).toString(16)}:${(ipv4 % 0x10000).toString(16)}`;
}

function longestZeros(texts: string[]): { start: number; length: number } {
  let longest = { start: 0, length: 0 };
  for (let start = 0; start < texts.length; start++) {
    let length = 0;
    while (texts[start + length] === "0") length++;
    if (length > longest.length) longest = { start, length };
  }
  return longest;
}
