import { type Cidr, cidrContains, parseCidr } from "./cidr";
import type { Ip } from "./ip";

/**
 * The IPv4 unicast addresses that are not globally reachable, and the exceptions of `globalIpv6`, the IPv6 block that
 * is. Sources: the IANA registries of special-purpose addresses (RFC 6890 and its updates), RFC 4291 §2.4 and RFC 9637
 * (3fff::/20).
 */
export const notPublic = [
  ...["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24"],
  ...["192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"],
  ...["2001::/23", "2001:db8::/32", "3fff::/20"],
].flatMap(blocks);
export const globalIpv6 = ["2000::/3"].flatMap(blocks);

/** Whether a host on the internet may have the address, which is one that may be a magic IP. */
export function isPublic(ip: Ip): boolean {
  const isIn = (block: Cidr) => cidrContains(block, ip);
  return !notPublic.some(isIn) && (ip.family === "ipv4" || globalIpv6.some(isIn));
}

function blocks(range: string): Cidr[] {
  const block = parseCidr(range);
  return block === undefined ? [] : [block];
}
