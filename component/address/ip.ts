import { parseIpv4 } from "./ipv4";
import { formatIpv6, parseIpv6 } from "./ipv6";

/** An IP address of either family. */
export interface Ip {
  family: "ipv4" | "ipv6";
  value: bigint;
}

/** The address, or undefined when the text is none. */
export function parseIp(text: string): Ip | undefined {
  if (text.includes(":")) {
    const value = parseIpv6(text);
    return value === undefined ? undefined : { family: "ipv6", value };
  }
  const value = parseIpv4(text);
  return value === undefined ? undefined : { family: "ipv4", value: BigInt(value) };
}

/**
 * The canonical text of an address, as the kernel prints it: `FD00:0::1` becomes `fd00::1`. Other texts stay as they
 * are.
 */
export function canonicalIp(text: string): string {
  const ip = parseIp(text);
  // parseIpv4 accepts only one spelling of an IPv4 address.
  return ip?.family === "ipv6" ? formatIpv6(ip.value) : text;
}
