import type { Frontend } from "../desired.ts";
import { decode } from "./encoding.ts";

/** The sets whose keys say what a table is for, of this version and of earlier ones. */
export const trafficSets = ["traffic4", "traffic-ranges4", "traffic-whole4"].flatMap((name) => [
  name,
  name.replace("4", "6"),
]);

/**
 * The frontend that a key of a counting set is about: an IP, with a protocol and a port unless it is the whole IP. A range
 * has its last port as a part of its own, or is an interval, as it was in version 0.1.
 */
export function frontendOf(set: string, key: string, end: string): Frontend | undefined {
  const isIpv6 = set.endsWith("6");
  const ip = isIpv6 ? ("ipv6" as const) : ("ipv4" as const);
  const ipDigits = isIpv6 ? 32 : 8;
  if (key.length === ipDigits)
    return { ipAddress: decode(key, "", [ip], false), protocol: undefined, port: 0, endPort: 65535 };
  const text = decode(key, end, [ip, "protocol", "port", "port"], false);
  const [ipAddress = "", protocol, ports = "", last = ""] = text.split(" . ");
  if (protocol !== "tcp" && protocol !== "udp" && protocol !== "sctp") return undefined;
  const [port = 0, intervalEnd = port] = ports.split("-").map(Number);
  const endPort = key.length === ipDigits + 24 ? Number(last) : intervalEnd;
  return { ipAddress, protocol, port, endPort };
}
