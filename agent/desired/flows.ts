import type { Protocol } from "../config/config.ts";
import { type Binding, bindingName, type DesiredState, type Frontend, type Target } from "./state.ts";

/** What flows are compared with. */
export interface FlowRules {
  /** What the kernel may hold: one state, or also one whose write failed. A flow is ended only if both would end it. */
  states: DesiredState[];
  /** Frontends of an earlier configuration; with `connections`, connections to them are ended, too. */
  gone?: { frontends: Frontend[]; connections: boolean };
  /** Frontends of other installations; flows to them are left alone. */
  claims?: Frontend[];
}

/**
 * The flow table by which `magic-ip-netlink flows` judges (agent/netlink/judge.h describes its lines), for these magic
 * IPs or for all. Its size depends on the configuration and the matching pods, not on the number of flows. Its rules:
 * TCP and SCTP stay with a live pod of their binding's address, so that they drain; all other flows have no end to wait
 * for and follow their binding; flows to ports of no binding are left alone.
 */
export function flowTable(rules: FlowRules, ipAddresses?: Set<string>): string[] {
  const own = rules.states.length === 1 ? certain(rules.states[0]) : common(rules.states);
  const gone = goneLines(rules);
  const byIp = Map.groupBy([...own, ...gone], ({ ipAddress }) => ipAddress);
  const wanted = [...byIp].filter(([ipAddress]) => ipAddresses?.has(ipAddress) ?? true);
  return wanted.flatMap(([ipAddress, entries]) => [`ip ${ipAddress}`, ...entryLines(entries)]);
}

/** The magic IPs whose bindings differ between two states, so that flows to them may have to end. */
export function changedIps(before: DesiredState, after: DesiredState): Set<string> {
  const known = new Map(before.bindings.map((binding) => [bindingName(binding), binding]));
  const changed = after.bindings.filter((binding) => {
    const was = known.get(bindingName(binding));
    known.delete(bindingName(binding));
    return was !== binding && JSON.stringify(was) !== JSON.stringify(binding);
  });
  return new Set([...changed, ...known.values()].map(({ ipAddress }) => ipAddress));
}

/** Which untranslated flows, which the network itself answers, may stay. */
const stays = ["none", "connections", "all"] as const;
type Stays = (typeof stays)[number];

/** A line of the table with the lists that it refers to. */
interface Entry {
  ipAddress: string;
  line: string;
  targets: string[];
  pods: string[];
}

const protocolNumbers: Record<Protocol, number> = { tcp: 6, udp: 17, sctp: 132 };

function certain(state: DesiredState | undefined): Entry[] {
  return (state?.bindings ?? []).map((binding) => ownEntry(binding, binding.targets, staying(binding)));
}

/** For bindings in all states: ends only flows that each state would end. A binding of only one state ends nothing. */
function common(states: DesiredState[]): Entry[] {
  const byName = Map.groupBy(
    states.flatMap(({ bindings }) => bindings),
    bindingName,
  );
  return [...byName.values()].flatMap((bindings) => {
    const [first] = bindings;
    if (first === undefined) return [];
    if (bindings.length < states.length) return [entry(first, "others")];
    const stay = stays[Math.max(...bindings.map((binding) => stays.indexOf(staying(binding))))] ?? "all";
    const live = [...new Set(bindings.flatMap((binding) => binding.live))];
    return [
      ownEntry(
        { ...first, live },
        bindings.flatMap(({ targets }) => targets),
        stay,
      ),
    ];
  });
}

function staying({ whenNoTarget, targets }: Binding): Stays {
  if (whenNoTarget !== "pass") return "none";
  return targets.length === 0 ? "all" : "connections";
}

function ownEntry(binding: Binding, targets: Target[], stay: Stays): Entry {
  const lines = targets.map(({ ip, port = 0 }) => `target ${ip} ${port}`);
  const pods = binding.live.map((podIp) => `pod ${podIp}`);
  return { ...entry(binding, "own", stay), targets: [...new Set(lines)], pods };
}

/** Lines for frontends that are gone and not configured again, and for other installations on the same magic IPs. */
function goneLines({ states, gone, claims = [] }: FlowRules): Entry[] {
  const own = new Set(states.flatMap(({ bindings }) => bindings.map(bindingName)));
  const lost = gone?.frontends.filter((frontend) => !own.has(bindingName(frontend))) ?? [];
  const lostIps = new Set(lost.map(({ ipAddress }) => ipAddress));
  const theirs = claims.filter(({ ipAddress }) => lostIps.has(ipAddress));
  return [
    ...distinct(theirs).map((claim) => entry(claim, "others")),
    ...distinct(lost).map((frontend) => entry(frontend, "gone", gone?.connections ? "all" : "rest")),
  ];
}

function distinct(frontends: Frontend[]): Frontend[] {
  return [...new Map(frontends.map((frontend) => [bindingName(frontend), frontend])).values()];
}

function entry({ ipAddress, protocol, port, endPort }: Frontend, kind: string, word = ""): Entry {
  const number = protocol === undefined ? "any" : protocolNumbers[protocol];
  return { ipAddress, line: `${kind} ${number} ${port} ${endPort} ${word}`.trimEnd(), targets: [], pods: [] };
}

/** A list is written once for consecutive entries that share it. */
function entryLines(entries: Entry[]): string[] {
  const last = { targets: "-", pods: "-" };
  return entries.flatMap(({ line, ...lists }) => {
    const news = (["pods", "targets"] as const).flatMap((name) => {
      const text = lists[name].join("\n");
      if (text === last[name]) return [];
      last[name] = text;
      return [name, ...lists[name]];
    });
    return [...news, line];
  });
}
