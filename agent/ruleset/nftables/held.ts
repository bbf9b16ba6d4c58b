import { bindingName, type Frontend, type HeldRules } from "../../desired/state.ts";
import { decode, type Part } from "./encoding.ts";

/** The sets and maps that say where a table leads, of this version and of earlier ones. */
export const heldSets = ["4", "6"].flatMap((digit) => [
  ...["targets", "spread"].flatMap((kind) => ["", "-ranges", "-whole"].map((shape) => kind + shape + digit)),
  `live${digit}`,
]);

/** An element as the kernel has it, in hex digits. */
export interface HeldElement {
  set: string;
  key: string;
  /** Of an interval, as ranges were in version 0.1. */
  end: string;
  data: string;
}

/**
 * Adds the target or the live pod of an element. `frontends`: all of the table, because a range's key has only its
 * first port. `littleEndian`: the machine's byte order.
 */
export function addHeld(
  held: HeldRules,
  element: HeldElement,
  frontends: Frontend[],
  littleEndian: boolean,
): void {
  const [, kind, shape = "", digit] =
    /^(targets|spread|live)(-ranges|-whole)?([46])$/.exec(element.set) ?? [];
  const ip = digit === "6" ? ("ipv6" as const) : ("ipv4" as const);
  if (kind === "live") {
    const [ipAddress = "", podIp = ""] = decode(element.key, "", [ip, ip], littleEndian).split(" . ");
    held.live.push({ ipAddress, podIp });
    return;
  }
  const frontend = frontendOf(element, shape, ip, frontends, littleEndian);
  if (frontend === undefined) return;
  const data = decode(element.data, "", shape === "" ? [ip, "port"] : [ip], littleEndian);
  const [podIp = "", port] = data.split(" . ");
  const name = bindingName(frontend);
  const places = held.targets.get(name) ?? [];
  const place = { ip: podIp, port: port === undefined ? undefined : Number(port) };
  if (!places.some((other) => other.ip === place.ip && other.port === place.port)) places.push(place);
  held.targets.set(name, places);
}

/** The last part of a spread map's key is the slot, which is left out. */
function frontendOf(
  { key, end }: HeldElement,
  shape: string,
  ip: "ipv4" | "ipv6",
  frontends: Frontend[],
  littleEndian: boolean,
): Frontend | undefined {
  const number: Part = shape === "-ranges" && end === "" ? "number" : "port";
  const type: Part[] = shape === "-whole" ? [ip] : [ip, "protocol", number];
  const [ipAddress, protocol, ports = ""] = decode(key, end, type, littleEndian).split(" . ");
  const port = Number(ports.split("-")[0]);
  return frontends.find(
    (each) =>
      each.ipAddress === ipAddress &&
      each.protocol === protocol &&
      (shape === "-whole" || (each.port === port && each.endPort > port === (shape === "-ranges"))),
  );
}
