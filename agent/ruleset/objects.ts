import type { WhenNoTarget } from "../config.ts";
import { type Binding, type DesiredState, familyOf, type Frontend, type LivePair } from "../desired.ts";
import type { Family } from "../target.ts";

/**
 * How a binding is looked up. Single ports and whole IPs are hashed; only ranges pay for intervals.
 * The suffix is part of the names of sets and maps: `targets4`, `targets-ranges6`, `targets-whole4`.
 */
export const shapes = ["", "-ranges", "-whole"] as const;
export type Shape = (typeof shapes)[number];

/** A set or map of the table, with its elements. */
export interface NamedObject {
  name: string;
  kind: "set" | "map";
  /** `type …` or `typeof …`. */
  type: string;
  flags: string[];
  /** Whether each element counts packets and bytes. */
  counter: boolean;
  /** Whether pods change it; the others change only with the configuration. */
  dynamic: boolean;
  /** `key`, or `key : data`. */
  elements: string[];
}

/** New flows to a load balanced binding draw one of so many slots: whatever divides it is spread evenly. */
export const slots = 60;

export const families = ["ipv4", "ipv6"] as const;

/** `4` or `6`, the end of a family's names. */
export const digit = (family: Family) => (family === "ipv4" ? "4" : "6");

/** What nft calls the header. */
export const header = (family: Family) => (family === "ipv4" ? "ip" : "ip6");

export function shapeOf({ protocol, port, endPort }: Frontend): Shape {
  if (protocol === undefined) return "-whole";
  return port === endPort ? "" : "-ranges";
}

/** What a packet to the magic IP is looked up by. */
export function lookup(family: Family, shape: Shape): string {
  const destination = `${header(family)} daddr`;
  return shape === "-whole" ? destination : `${destination} . meta l4proto . th dport`;
}

/** The sets and maps that the configuration needs, and no others. */
export function objectsOf(state: DesiredState): NamedObject[] {
  return [...families.flatMap((family) => familyObjects(state, family)), ...sharedObjects(state)];
}

/** The elements that lead a binding's packets to its targets, by the name of their map. */
export function targetElements(binding: Binding): [map: string, elements: string[]] {
  const family = familyOf(binding.ipAddress);
  const suffix = `${shapeOf(binding)}${digit(family)}`;
  const data = binding.targets.map(({ ip, port }) => (port === undefined ? ip : `${ip} . ${port}`));
  if (!binding.loadBalance) return [`targets${suffix}`, data.map((to) => `${key(binding)} : ${to}`)];
  if (data.length === 0) return [`spread${suffix}`, []];
  const drawn = Array.from(
    { length: slots },
    (_, slot) => `${key(binding)} . ${slot} : ${data[slot % data.length]}`,
  );
  return [`spread${suffix}`, drawn];
}

/** The elements of `live4` and `live6`, or of `hairpin4` and `hairpin6`. */
function liveElement({ ipAddress, podIp }: LivePair): string {
  return `${ipAddress} . ${podIp}`;
}

function hairpinElement(podIp: string): string {
  return `${podIp} . ${podIp}`;
}

/** What leaves the sets of live pairs, and what comes. Pairs that stay are mostly the same objects. */
export function liveChanges(
  before: LivePair[],
  after: LivePair[],
): [set: string, removed: string[], added: string[]][] {
  const [old, young] = [new Set(before), new Set(after)];
  const gone = before.filter((pair) => !young.has(pair));
  const come = after.filter((pair) => !old.has(pair));
  if (gone.length + come.length === 0) return [];
  const [goneIps, comeIps] = [
    podIps(gone).difference(podIps(after)),
    podIps(come).difference(podIps(before)),
  ];
  return families.flatMap((family) => {
    const live = (pairs: LivePair[]) =>
      pairs.filter(({ podIp }) => familyOf(podIp) === family).map(liveElement);
    const hairpin = (ips: Set<string>) =>
      [...ips].filter((ip) => familyOf(ip) === family).map(hairpinElement);
    return [
      [`live${digit(family)}`, live(gone), live(come)],
      [`hairpin${digit(family)}`, hairpin(goneIps), hairpin(comeIps)],
    ] as [string, string[], string[]][];
  });
}

function podIps(pairs: LivePair[]): Set<string> {
  return new Set(pairs.map(({ podIp }) => podIp));
}

export function key(frontend: Frontend): string {
  const { ipAddress, protocol, port, endPort } = frontend;
  if (protocol === undefined) return ipAddress;
  return `${ipAddress} . ${protocol} . ${endPort === port ? port : `${port}-${endPort}`}`;
}

/** What happens to ports of the magic IP that no binding owns: as with a whole IP, else the strictest of its bindings. */
export function policies(bindings: Binding[]): Map<string, WhenNoTarget> {
  const byIp = Map.groupBy(bindings, ({ ipAddress }) => ipAddress);
  return new Map([...byIp].map(([ipAddress, own]) => [ipAddress, policy(own)]));
}

function policy(bindings: Binding[]): WhenNoTarget {
  const whole = bindings.find(({ protocol }) => protocol === undefined);
  if (whole !== undefined) return whole.whenNoTarget;
  const strictness: WhenNoTarget[] = ["reject", "drop", "pass"];
  return strictness.find((name) => bindings.some(({ whenNoTarget }) => whenNoTarget === name)) ?? "reject";
}

function familyObjects(state: DesiredState, family: Family): NamedObject[] {
  const bindings = state.bindings.filter(({ ipAddress }) => familyOf(ipAddress) === family);
  if (bindings.length === 0) return [];
  const end = digit(family);
  const address = `${family}_addr`;
  const live = state.live.filter(({ ipAddress }) => familyOf(ipAddress) === family);
  const set = (name: string, type: string, elements: Iterable<string>, dynamic = false): NamedObject => ({
    ...{ name: `${name}${end}`, kind: "set", type: `type ${type}`, flags: [], counter: false, dynamic },
    elements: [...new Set(elements)],
  });
  return [
    set(
      "ips",
      address,
      bindings.map(({ ipAddress }) => ipAddress),
    ),
    ...shapes.flatMap((shape) => shapeObjects(bindings, family, shape)),
    ...policyObjects(bindings, end, address),
    set("live", `${address} . ${address}`, live.map(liveElement), true),
    set("hairpin", `${address} . ${address}`, [...podIps(live)].map(hairpinElement), true),
  ];
}

function shapeObjects(all: Binding[], family: Family, shape: Shape): NamedObject[] {
  const bindings = all.filter((binding) => shapeOf(binding) === shape);
  if (bindings.length === 0) return [];
  const suffix = `${shape}${digit(family)}`;
  const address = `${family}_addr`;
  const type = shape === "-whole" ? address : `${address} . inet_proto . inet_service`;
  const flags = shape === "-ranges" ? ["interval"] : [];
  const keys = bindings.map(key);
  const map = (name: string, type: string, loadBalance: boolean): NamedObject[] => {
    const served = bindings.filter((binding) => binding.loadBalance === loadBalance);
    const elements = served.flatMap((binding) => targetElements(binding)[1]);
    const object = { name: `${name}${suffix}`, type, flags, elements };
    return served.length === 0 ? [] : [{ ...object, kind: "map", counter: false, dynamic: true }];
  };
  const set = (name: string, counter: boolean, elements: string[]): NamedObject => ({
    ...{ name: `${name}${suffix}`, kind: "set", type: `type ${type}`, flags, counter, dynamic: false },
    elements,
  });
  const special = shape === "-whole" ? [] : keysBesideWhole(all, bindings);
  return [
    ...map("targets", `type ${type} : ${address}${shape === "" ? " . inet_service" : ""}`, false),
    ...map("spread", spreadType(family, shape), true),
    ...["traffic", "rejected", "outside"].map((name) => set(name, true, keys)),
    ...(special.length === 0 ? [] : [set("special", false, special)]),
  ];
}

/** numgen has no name as a type. */
function spreadType(family: Family, shape: Shape): string {
  const data = shape === "" ? `${header(family)} daddr . th dport` : `${header(family)} daddr`;
  return `typeof ${lookup(family, shape)} . numgen random mod ${slots} : ${data}`;
}

/** Ports of their own on an IP that is also a whole one: without a target they must not fall to the whole's. */
function keysBesideWhole(all: Binding[], bindings: Binding[]): string[] {
  const whole = new Set(
    all.filter(({ protocol }) => protocol === undefined).map(({ ipAddress }) => ipAddress),
  );
  return bindings.filter(({ ipAddress }) => whole.has(ipAddress)).map(key);
}

const verdicts: Record<WhenNoTarget, string> = { reject: "goto refuse", drop: "drop", pass: "accept" };

/** Verdicts for what differs from the rule, which is to refuse: of IPs, and of bindings that differ from their IP. */
function policyObjects(bindings: Binding[], end: string, address: string): NamedObject[] {
  const ofIp = policies(bindings);
  const map = (name: string, type: string, flags: string[], elements: string[]): NamedObject[] => {
    const object = { name: `${name}${end}`, type: `type ${type} : verdict`, flags, elements };
    return elements.length === 0 ? [] : [{ ...object, kind: "map", counter: false, dynamic: false }];
  };
  const differing = bindings.filter(
    ({ ipAddress, protocol, whenNoTarget }) => protocol !== undefined && whenNoTarget !== ofIp.get(ipAddress),
  );
  const elements = (shape: Shape) =>
    differing
      .filter((binding) => shapeOf(binding) === shape)
      .map((binding) => `${key(binding)} : ${verdicts[binding.whenNoTarget]}`);
  const ips = [...ofIp].filter(([, name]) => name !== "reject");
  const service = `${address} . inet_proto . inet_service`;
  return [
    ...map("policy", service, [], elements("")),
    ...map("policy-ranges", service, ["interval"], elements("-ranges")),
    ...map(
      "policy-whole",
      address,
      [],
      ips.map(([ipAddress, name]) => `${ipAddress} : ${verdicts[name]}`),
    ),
  ];
}

function sharedObjects({ uplinks = [] }: DesiredState): NamedObject[] {
  return uplinks.length === 0 ? [] : [plainSet("uplinks", "ifname", uplinks.map(quoted))];
}

function plainSet(name: string, type: string, elements: string[]): NamedObject {
  return { name, kind: "set", type: `type ${type}`, flags: [], counter: false, dynamic: false, elements };
}

/** The kernel allows any byte but "/" and white space in an interface's name (dev_valid_name), nft's text does not. */
function quoted(name: string): string {
  return `"${name.replace(/[^A-Za-z0-9_.@:-]/g, "")}"`;
}
