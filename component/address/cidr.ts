import { type Ip, parseIp } from "./ip";
import { formatIpv4 } from "./ipv4";
import { formatIpv6 } from "./ipv6";

/** A block of addresses of one family. */
export interface Cidr {
  family: Ip["family"];
  first: bigint;
  last: bigint;
}

/** The block, or undefined when the text is none: see `cidrComplaint` for what is wrong with it. */
export function parseCidr(text: string): Cidr | undefined {
  const block = blockAround(text);
  return block !== undefined && block.ip.value === block.first ? block : undefined;
}

/** What is wrong with the text of a block, and what would be right; undefined when the text is right. */
export function cidrComplaint(text: string): string | undefined {
  const block = blockAround(text);
  if (block === undefined) {
    const ip = parseIp(text);
    const example =
      ip === undefined
        ? "169.254.210.0/24 or fd00:210::/32"
        : `${text}/${lengthOf(ip.family)} for this address only`;
    return `"${text}" is not a CIDR: write address/bits, as ${example}`;
  }
  if (block.ip.value === block.first) return undefined;
  // Kubernetes warns of such a CIDR: its author meant either the whole block or the one address.
  const format = block.family === "ipv4" ? (value: bigint) => formatIpv4(Number(value)) : formatIpv6;
  return `"${text}" is not the first address of its block: write ${format(block.first)}/${text.split("/")[1]}`;
}

/** Whether the address lies in the block. An address of another family never does. */
export function cidrContains({ family, first, last }: Cidr, ip: Ip): boolean {
  return ip.family === family && ip.value >= first && ip.value <= last;
}

/** The block that an address with a prefix length lies in, and that address. */
function blockAround(text: string): (Cidr & { ip: Ip }) | undefined {
  const [address = "", bits = "", ...rest] = text.split("/");
  const ip = parseIp(address);
  if (ip === undefined || rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(bits)) return undefined;
  const host = lengthOf(ip.family) - Number(bits);
  if (host < 0) return undefined;
  const first = (ip.value >> BigInt(host)) << BigInt(host);
  return { family: ip.family, first, last: first + (1n << BigInt(host)) - 1n, ip };
}

function lengthOf(family: Ip["family"]): number {
  return family === "ipv4" ? 32 : 128;
}
