import type { Frontend } from "../../desired/state.ts";
import { decode } from "./encoding.ts";

/** The sets whose keys say what a table is for, of this version and of earlier ones. */
export const trafficSets = ["traffic4", "traffic-ranges4", "traffic-whole4"].flatMap((name) => [
  name,
  name.replace("4", "6"),
]);

/**
 * The frontend of a key of a counting set: an IP, with a protocol and a port unless it is a whole IP. A range has its
 * first and its last port as numbers of the machine (ranges.ts); in version 0.1 it was an interval. `littleEndian`: the
 * machine's byte order.
 */
export function frontendOf(
  set: string,
  key: string,
  end: string,
  littleEndian: boolean,
): Frontend | undefined {
  const isIpv6 = set.endsWith("6");
  const ip = isIpv6 ? ("ipv6" as const) : ("ipv4" as const);
  const ipDigits = isIpv6 ? 32 : 8;
  if (key.length === ipDigits)
    return { ipAddress: decode(key, "", [ip], littleEndian), protocol: undefined, port: 0, endPort: 65535 };
  const isRange = key.length === ipDigits + 24;
  const text = isRange
    ? decode(key, "", [ip, "protocol", "number", "number"], littleEndian)
    : decode(key, end, [ip, "protocol", "port"], littleEndian).replace(/-(\d+)$/, " . $1");
  const [ipAddress = "", protocol, port = "", endPort = port] = text.split(" . ");
  if (protocol !== "tcp" && protocol !== "udp" && protocol !== "sctp") return undefined;
  return { ipAddress, protocol, port: Number(port), endPort: Number(endPort) };
}
