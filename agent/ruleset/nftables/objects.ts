import {
  type Binding,
  type DesiredState,
  type Family,
  familyOf,
  type Frontend,
  type LivePair,
} from "../../desired/state.ts";
import { isPlain } from "../../desired/node.ts";
import {
  digit,
  families,
  header,
  key,
  lookup,
  policies,
  type Shape,
  shapeOf,
  shapes,
  slots,
  verdicts,
} from "./lookup.ts";
import { rangedRoles } from "./ranges.ts";

export { digit, families, key, policies, shapeOf, shapes };

/** A set or map of the table, with its elements. */
export interface NamedObject {
  name: string;
  kind: "set" | "map";
  /** `type …` or `typeof …`. */
  type: string;
  /** Whether each element counts packets and bytes. */
  counter: boolean;
  /** Whether pods change it; the others change only with the configuration. */
  dynamic: boolean;
  /** `key`, or `key : data`. */
  elements: string[];
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
  // A range's key has its first port only: nft keeps the types of four parts of a key, and the slot is one.
  const from = key({ ...binding, endPort: binding.port });
  if (!binding.loadBalance) return [`targets${suffix}`, data.map((to) => `${from} : ${to}`)];
  if (data.length === 0) return [`spread${suffix}`, []];
  const drawn = Array.from({ length: slots }, (_, slot) => `${from} . ${slot} : ${data[slot % data.length]}`);
  return [`spread${suffix}`, drawn];
}

/** The elements of `live4` and `live6`, or of `hairpin4` and `hairpin6`. */
function liveElement({ ipAddress, podIp }: LivePair): string {
  return `${ipAddress} . ${podIp}`;
}

function hairpinElement(podIp: string): string {
  return `${podIp} . ${podIp}`;
}

/** What leaves the sets of live pairs, and what comes. Most pairs that stay are the same objects. */
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

function familyObjects(state: DesiredState, family: Family): NamedObject[] {
  const bindings = state.bindings.filter(({ ipAddress }) => familyOf(ipAddress) === family);
  if (bindings.length === 0) return [];
  const end = digit(family);
  const address = `${family}_addr`;
  const live = state.live.filter(({ ipAddress }) => familyOf(ipAddress) === family);
  const neighbours = (state.neighbours ?? []).filter(({ ipAddress }) => familyOf(ipAddress) === family);
  const theirs = neighbours.filter((frontend) => shapeOf(frontend) === "").map(key);
  const set = (name: string, type: string, elements: Iterable<string>, dynamic = false): NamedObject => ({
    ...{ name: `${name}${end}`, kind: "set", type: `type ${type}`, counter: false, dynamic },
    elements: [...new Set(elements)],
  });
  return [
    set(
      "ips",
      address,
      bindings.map(({ ipAddress }) => ipAddress),
    ),
    ...shapes.flatMap((shape) => shapeObjects(bindings, family, shape)),
    ...policyObjects(bindings, neighbours, end, address),
    ...rangedRoles(state, family).map(({ name, elements }): NamedObject => ({
      ...{ name, kind: "map", type: `type ${address} : verdict`, counter: false, dynamic: false },
      elements,
    })),
    ...(theirs.length === 0 ? [] : [set("neighbours", `${address} . inet_proto . inet_service`, theirs)]),
    set("live", `${address} . ${address}`, live.map(liveElement), true),
    set("hairpin", `${address} . ${address}`, [...podIps(live)].map(hairpinElement), true),
  ];
}

function shapeObjects(all: Binding[], family: Family, shape: Shape): NamedObject[] {
  const bindings = all.filter((binding) => shapeOf(binding) === shape);
  if (bindings.length === 0) return [];
  const suffix = `${shape}${digit(family)}`;
  const keys = bindings.map(key);
  const map = (name: string, type: string, loadBalance: boolean): NamedObject[] => {
    const served = bindings.filter((binding) => binding.loadBalance === loadBalance);
    const elements = served.flatMap((binding) => targetElements(binding)[1]);
    const object = { name: `${name}${suffix}`, type, elements };
    return served.length === 0 ? [] : [{ ...object, kind: "map", counter: false, dynamic: true }];
  };
  const types = typesOf(family, shape);
  const set = (name: string, counter: boolean, elements: string[]): NamedObject => ({
    ...{ name: `${name}${suffix}`, kind: "set", type: types.counted, counter, dynamic: false },
    elements,
  });
  const special = shape === "" ? keysBesideWhole(all, bindings) : [];
  return [
    ...map("targets", types.targets, false),
    ...map("spread", types.spread, true),
    ...["traffic", "rejected", "outside"].map((name) => set(name, true, keys)),
    ...(special.length === 0 ? [] : [set("special", false, special)]),
  ];
}

/** numgen has no type name, hence `typeof`; in a range's keys it stands for a constant of the rule (ranges.ts). */
function typesOf(family: Family, shape: Shape): Record<"counted" | "targets" | "spread", string> {
  const [ip, address] = [`${header(family)} daddr`, `${family}_addr`];
  const draw = `numgen random mod ${slots}`;
  switch (shape) {
    case "": {
      const [service, to] = [`${address} . inet_proto . inet_service`, `${ip} . th dport`];
      const spread = `typeof ${lookup(family, "")} . ${draw} : ${to}`;
      return { counted: `type ${service}`, targets: `type ${service} : ${address} . inet_service`, spread };
    }
    case "-ranges": {
      const range = `typeof ${ip} . meta l4proto . numgen random mod 1`;
      const counted = `${range} . numgen random mod 1`;
      return { counted, targets: `${range} : ${ip}`, spread: `${range} . ${draw} : ${ip}` };
    }
    case "-whole":
      return {
        counted: `type ${address}`,
        targets: `type ${address} : ${address}`,
        spread: `typeof ${ip} . ${draw} : ${ip}`,
      };
  }
}

/** Single ports of an IP that is a whole IP, too: without a target they must not be led to the whole IP's target. */
function keysBesideWhole(all: Binding[], bindings: Binding[]): string[] {
  const whole = new Set(
    all.filter(({ protocol }) => protocol === undefined).map(({ ipAddress }) => ipAddress),
  );
  return bindings.filter(({ ipAddress }) => whole.has(ipAddress)).map(key);
}

/** Verdicts of IPs whose policy is not the default (to refuse), and of ports whose policy differs from their IP's. */
function policyObjects(
  bindings: Binding[],
  neighbours: Frontend[],
  end: string,
  address: string,
): NamedObject[] {
  const ofIp = policies(bindings, neighbours);
  const map = (name: string, type: string, elements: string[]): NamedObject[] => {
    const object = { name: `${name}${end}`, type: `type ${type} : verdict`, elements };
    return elements.length === 0 ? [] : [{ ...object, kind: "map", counter: false, dynamic: false }];
  };
  const differing = bindings.filter(
    (binding) => shapeOf(binding) === "" && binding.whenNoTarget !== ofIp.get(binding.ipAddress),
  );
  const ips = [...ofIp].filter(([, name]) => name !== "reject");
  return [
    ...map(
      "policy",
      `${address} . inet_proto . inet_service`,
      differing.map((binding) => `${key(binding)} : ${verdicts[binding.whenNoTarget]}`),
    ),
    ...map(
      "policy-whole",
      address,
      ips.map(([ipAddress, name]) => `${ipAddress} : ${verdicts[name]}`),
    ),
  ];
}

function sharedObjects({ uplinks = [] }: DesiredState): NamedObject[] {
  // Other names are matched by their index only: see arrival() in chains.ts.
  const names = uplinks.filter(isPlain).map((name) => `"${name}"`);
  return names.length === 0 ? [] : [plainSet("uplinks", "ifname", names)];
}

function plainSet(name: string, type: string, elements: string[]): NamedObject {
  return { name, kind: "set", type: `type ${type}`, counter: false, dynamic: false, elements };
}
