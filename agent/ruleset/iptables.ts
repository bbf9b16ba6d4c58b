import { parseIp } from "../../component/spec/ip.ts";
import { type Binding, bindingName, type DesiredState, familyOf } from "../desired.ts";
import type { Family } from "../target.ts";
import { isPlain } from "../node.ts";
import { countKey, type Installation, nothing, ownerMark, type Role } from "./iptables-listing.ts";
import { policies, shapes, shapeOf } from "./objects.ts";

type Table = "mangle" | "filter" | "nat";

/** How many leading bits a pod's address shares with the pods of its bridge; undefined when it is alone. */
export type SegmentLength = (podIp: string) => number | undefined;

/** Matches and target, as iptables-restore takes them; and the binding that it counts for. */
interface Rule {
  text: string;
  binding?: string;
}

interface Chain {
  table: Table;
  role: Role;
  name: string;
  rules: Rule[];
}

/** A rule in one of iptables' own chains that leads to a chain of ours. */
interface Jump {
  table: Table;
  from: string;
  text: string;
}

interface Layout {
  chains: Chain[];
  jumps: Jump[];
}

/**
 * One family's rules as text for `iptables-restore --noflush --counters`: it replaces what the installation has
 * (`before`), touches nobody else's rules and goes on counting where the old rules were.
 *
 * Each table is one transaction, and nothing holds them together, so their order is what keeps packets from going
 * wrong in between. mangle first: no magic IP is translated before it is guarded. Then filter: no flow is led to a pod
 * before the pod is live, and a pod that is gone gets nothing more, while new flows to it are refused until nat follows
 * at once. nat last. Magic IPs that leave are the other way round: their guards and refusals go after their nat.
 */
export function ruleset(
  state: DesiredState,
  family: Family,
  segmentLength: SegmentLength,
  before: Installation = nothing,
): string {
  const after = layout(state, family, segmentLength);
  if (after.chains.length === 0) return removal(before);
  const staying = new Set(state.bindings.map(({ ipAddress }) => ipAddress));
  const leaving = [...new Set(before.frontends.map(({ ipAddress }) => ipAddress))].filter(
    (ipAddress) => !staying.has(ipAddress),
  );
  if (leaving.length === 0) return blocks(["mangle", "filter", "nat"], after, before);
  const unserved = { ...state, bindings: [...state.bindings, ...leaving.map(unservedIp)] };
  const meanwhile = layout(unserved, family, segmentLength);
  return [
    blocks(["mangle", "filter"], meanwhile, before),
    blocks(["nat"], after, before),
    blocks(["filter", "mangle"], after, { ...before, ...meanwhile }),
  ].join("");
}

/** Takes an installation's rules away: first what translates, last what guards. */
export function removal(before: Installation): string {
  return blocks(["nat", "filter", "mangle"], { chains: [], jumps: [] }, before);
}

/** The start of the names of an installation's chains. The kernel allows 28 characters a name, instances have up to 127. */
export function chainPrefix(instance: string): string {
  // FNV-1a (draft-eastlake-fnv): spreads well, and asks nothing outside this file.
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(instance)) hash = Math.imul(hash ^ byte, 0x01000193);
  return `MAGICIP-${(hash >>> 0).toString(16).padStart(8, "0")}`;
}

/** Instances are validated where they are configured; whatever comes, it is one harmless word here. */
export function ownerName(instance: string): string {
  return instance.replace(/[^A-Za-z0-9.-]/g, "_").slice(0, 127);
}

function blocks(
  tables: Table[],
  after: Layout,
  before: Pick<Installation, "chains" | "jumps" | "counts">,
): string {
  return tables.map((table) => block(table, after, before)).join("");
}

function block(
  table: Table,
  after: Layout,
  before: Pick<Installation, "chains" | "jumps" | "counts">,
): string {
  const here = (item: { table: string }) => item.table === table;
  const chains = after.chains.filter(here);
  const names = new Set(chains.map(({ name }) => name));
  const old = before.chains.filter(here).map(({ name }) => name);
  const lines = [
    // To declare a chain is to make it, or to empty it.
    ...[...new Set([...names, ...old])].map((name) => `:${name} - [0:0]`),
    ...before.jumps.filter(here).map(({ from, text }) => `-D ${from} ${text}`),
    ...chains.flatMap((chain) => ruleLines(chain, before.counts)),
    ...jumpLines(after.jumps.filter(here)),
    ...old.filter((name) => !names.has(name)).map((name) => `-X ${name}`),
  ];
  return lines.length === 0 ? "" : `*${table}\n${lines.join("\n")}\nCOMMIT\n`;
}

/** The first rule of a binding goes on from what all of its rules counted. */
function ruleLines({ role, name, rules }: Chain, counts: Installation["counts"]): string[] {
  return rules.map(({ text, binding }, index) => {
    const first = binding !== undefined && rules[index - 1]?.binding !== binding;
    const count = first ? counts.get(countKey(role, binding)) : undefined;
    const comment = binding === undefined ? "" : `-m comment --comment "${binding}" `;
    return `[${count?.packets ?? 0}:${count?.bytes ?? 0}] -A ${name} ${comment}${text}`;
  });
}

/** In front of everybody else's, in their own order. */
function jumpLines(jumps: Jump[]): string[] {
  return jumps.map(({ from, text }, index) => {
    const position = jumps.slice(0, index).filter((other) => other.from === from).length + 1;
    return `-I ${from} ${position} ${text}`;
  });
}

/** No chains when the family has no bindings. */
function layout(state: DesiredState, family: Family, segmentLength: SegmentLength): Layout {
  const bindings = state.bindings.filter(({ ipAddress }) => familyOf(ipAddress) === family);
  if (bindings.length === 0) return { chains: [], jumps: [] };
  const part: Part = { state, family, prefix: chainPrefix(state.instance), byIp: byIpOf(bindings) };
  const layouts = [guard(part), counting(part), refusal(part), liveness(part), translation(part)];
  const all = [...layouts, masquerade(part, segmentLength)];
  return { chains: all.flatMap(({ chains }) => chains), jumps: all.flatMap(({ jumps }) => jumps) };
}

/** One family's part of the desired state, by magic IP. */
interface Part {
  state: DesiredState;
  family: Family;
  prefix: string;
  byIp: Map<string, Binding[]>;
}

/** Exact ports before ranges before the whole IP: the first rule that matches wins. */
function byIpOf(bindings: Binding[]): Map<string, Binding[]> {
  const rank = (binding: Binding) => shapes.indexOf(shapeOf(binding));
  return Map.groupBy(
    bindings.toSorted((a, b) => rank(a) - rank(b)),
    ({ ipAddress }) => ipAddress,
  );
}

function unservedIp(ipAddress: string): Binding {
  const whole = { ipAddress, protocol: undefined, port: 0, endPort: 65535 };
  return { ...whole, targets: [], loadBalance: false, whenNoTarget: "reject" };
}

/** What clients send, by binding: mangle sees every packet as it was sent, nat only a flow's first. */
function counting(part: Part): Layout {
  const jumps: Jump[] = ["PREROUTING", "OUTPUT"].map((from) => ({
    ...{ table: "mangle", from },
    text: `${toAny(part)} -j ${part.prefix}-COUNT`,
  }));
  const chains = perIp(part, "mangle", "COUNT", to, (bindings) =>
    bindings.map((binding) => ({ text: `${dialed(binding)}-j RETURN`, binding: bindingName(binding) })),
  );
  return { chains, jumps };
}

/** What comes in by an uplink and is for a magic IP is dropped before it is counted: mangle is before nat. */
function guard(part: Part): Layout {
  // iptables-save does not quote names, and a "+" at the end stands for any end.
  const uplinks = (part.state.uplinks ?? []).filter(isPlain);
  if (uplinks.length === 0) return { chains: [], jumps: [] };
  const jumps: Jump[] = uplinks.map((uplink) => ({
    ...{ table: "mangle", from: "PREROUTING" },
    text: `-i ${uplink} ${toAny(part)} -j ${part.prefix}-GUARD`,
  }));
  const chains = perIp(part, "mangle", "GUARD", to, (bindings) => [
    ...bindings.map((binding) => ({ text: `${dialed(binding)}-j DROP`, binding: bindingName(binding) })),
    { text: "-j DROP" },
  ]);
  return { chains, jumps };
}

/** What still has a magic IP as destination after the translation found no target. */
function refusal(part: Part): Layout {
  const { family } = part;
  const jumps: Jump[] = ["FORWARD", "OUTPUT"].map((from) => ({
    ...{ table: "filter", from },
    text: `${toAny(part)} -j ${part.prefix}-REFUSE`,
  }));
  const chains = perIp(part, "filter", "REFUSE", to, (bindings, ipAddress) => {
    const whole = bindings.some(({ protocol }) => protocol === undefined);
    const others = policies(bindings).get(ipAddress) ?? "reject";
    return [
      ...bindings.flatMap((binding) =>
        refusing({ ...binding, family }, dialed(binding), bindingName(binding)),
      ),
      ...(whole ? [] : refusing({ family, protocol: undefined, whenNoTarget: others }, "")),
    ];
  });
  return { chains, jumps };
}

/**
 * Flows that were translated to a pod that left the live set; in INPUT for targets on the host network. Only what the
 * bindings own: another installation may have other ports of the IP.
 */
function liveness(part: Part): Layout {
  const { family, prefix, state } = part;
  const jumps: Jump[] = ["FORWARD", "OUTPUT", "INPUT"].map((from) => ({
    ...{ table: "filter", from },
    // Without a match: to delete a rule is to find it again, and iptables does not find all that it saved of conntrack's.
    text: `-j ${prefix}-LIVE`,
  }));
  const podIps = Map.groupBy(state.live, ({ ipAddress }) => ipAddress);
  const chains = perIp(part, "filter", "LIVE", originallyTo, (bindings, ipAddress) => [
    // What was not translated is the matter of REFUSE, which may have let it pass.
    { text: `-d ${ipAddress} -j RETURN` },
    ...(podIps.get(ipAddress) ?? []).map(({ podIp }) => ({ text: `-d ${podIp} -j RETURN` })),
    ...bindings.flatMap((binding) => {
      const { protocol } = binding;
      const refusal: Refusal = { family, protocol, whenNoTarget: "reject" };
      return refusing(refusal, originallyDialed(binding), bindingName(binding));
    }),
  ]);
  return { chains, jumps };
}

function translation(part: Part): Layout {
  const jumps: Jump[] = ["PREROUTING", ...(part.state.hostClients ? ["OUTPUT"] : [])].map((from) => ({
    ...{ table: "nat", from },
    text: `${toAny(part)} -j ${part.prefix}-DNAT`,
  }));
  // A connection that conntrack does not know is not picked up from its middle: see chains.ts.
  const unknown = { text: "-p tcp ! --syn -j RETURN" };
  const chains = perIp(part, "nat", "DNAT", to, (bindings) => [
    unknown,
    ...bindings.flatMap((binding) => destinations(binding).map((text) => ({ text }))),
  ]);
  return { chains, jumps };
}

/** New flows find one target; or one of several with equal chances: of n that are left, each takes the nth part. */
function destinations(binding: Binding): string[] {
  const { targets } = binding;
  // A port of its own must not fall to the targets of the whole IP.
  if (targets.length === 0) return binding.protocol === undefined ? [] : [`${dialed(binding)}-j RETURN`];
  return targets.map(({ ip, port }, index) => {
    const left = targets.length - index;
    const chance = left > 1 ? `-m statistic --mode random --probability ${(1 / left).toFixed(9)} ` : "";
    const host = port !== undefined && familyOf(ip) === "ipv6" ? `[${ip}]` : ip;
    return `${dialed(binding)}${chance}-j DNAT --to-destination ${host}${port === undefined ? "" : `:${port}`}`;
  });
}

/**
 * A target that dials itself would get an answer from itself. The answer to a neighbour on the same bridge would go
 * straight to it and past netfilter, where netfilter does not see what bridges pass on: POSTROUTING knows no incoming
 * interface, but neighbours share the target's network. Others keep their address.
 */
function masquerade({ state, family, prefix, byIp }: Part, segmentLength: SegmentLength): Layout {
  const pairs = state.live.filter(({ ipAddress }) => byIp.has(ipAddress));
  if (pairs.length === 0) return { chains: [], jumps: [] };
  const rules = pairs.map(({ ipAddress, podIp }) => {
    const source = {
      always: "",
      hairpin: `-s ${podIp} `,
      bridged: `-s ${withLength(podIp, segmentLength(podIp))} `,
    };
    return {
      text: `${originallyTo(ipAddress)}${source[state.masquerade[family]]}-d ${podIp} -j MASQUERADE`,
    };
  });
  const name = `${prefix}-MASQ`;
  return {
    chains: [{ table: "nat", role: "MASQ", name, rules: [owner(state, notOriginallyTo(byIp)), ...rules] }],
    jumps: [{ table: "nat", from: "POSTROUTING", text: `-j ${name}` }],
  };
}

/** A chain that tells the magic IPs apart, and one for each of them: a packet passes the rules of one IP, not of all. */
function perIp(
  { state, prefix, byIp }: Part,
  table: Table,
  role: Role,
  match: (ipAddress: string) => string,
  rulesOf: (bindings: Binding[], ipAddress: string) => Rule[],
): Chain[] {
  const name = `${prefix}-${role}`;
  const entries = [...byIp].map(([ipAddress, bindings], index) => ({
    ipAddress,
    chain: { table, role, name: `${name}-${index.toString(36)}`, rules: rulesOf(bindings, ipAddress) },
  }));
  const jumps = entries.map(({ ipAddress, chain }) => ({ text: `${match(ipAddress)}-j ${chain.name}` }));
  const first = owner(state, match === originallyTo ? notOriginallyTo(byIp) : "");
  return [{ table, role, name, rules: [first, ...jumps] }, ...entries.map(({ chain }) => chain)];
}

/**
 * A chain's first rule says whose it is, for the name holds only a hash of the instance; and it does what the rule that
 * leads to the chain does not.
 */
function owner({ instance }: DesiredState, text = ""): Rule {
  return { text: `-m comment --comment "${ownerMark}${ownerName(instance)}"${text}` };
}

/**
 * What matches gets an error at once, or nothing, or goes on; counted for the binding, where it is of one. `tcp-reset`
 * needs the protocol in the rule, so "every protocol" takes two.
 */
function refusing({ family, protocol, whenNoTarget }: Refusal, match: string, binding?: string): Rule[] {
  const rule = (text: string): Rule => (binding === undefined ? { text } : { text, binding });
  if (whenNoTarget === "pass") return [{ text: `${match}-j RETURN` }];
  if (whenNoTarget === "drop") return [rule(`${match}-j DROP`)];
  const unreachable = family === "ipv4" ? "icmp-port-unreachable" : "icmp6-port-unreachable";
  const rejection = (protocol: string) => (protocol === "tcp" ? "tcp-reset" : unreachable);
  if (protocol !== undefined) return [rule(`${match}-j REJECT --reject-with ${rejection(protocol)}`)];
  return [
    rule(`-p tcp ${match}-j REJECT --reject-with ${rejection("tcp")}`),
    rule(`${match}-j REJECT --reject-with ${unreachable}`),
  ];
}

interface Refusal extends Pick<Binding, "protocol" | "whenNoTarget"> {
  family: Family;
}

/** To any of the magic IPs, by the smallest block that holds them: all other packets pass one rule. */
function toAny({ byIp }: Part): string {
  return `-d ${covering([...byIp.keys()])}`;
}

const to = (ipAddress: string) => `-d ${ipAddress} `;

/** What the flow's client dialed. */
const originallyTo = (ipAddress: string) => `-m conntrack --ctdir ORIGINAL --ctorigdst ${ipAddress} `;

/** Lets all other packets pass one rule only. */
const notOriginallyTo = (byIp: Part["byIp"]) =>
  ` -m conntrack ! --ctorigdst ${covering([...byIp.keys()])} -j RETURN`;

function dialed({ protocol, port, endPort }: Binding): string {
  return protocol === undefined ? "" : `-p ${protocol} --dport ${span(port, endPort)} `;
}

function originallyDialed({ protocol, port, endPort }: Binding): string {
  return protocol === undefined ? "" : `-p ${protocol} -m conntrack --ctorigdstport ${span(port, endPort)} `;
}

const span = (port: number, endPort: number) => (port === endPort ? `${port}` : `${port}:${endPort}`);

/** The smallest block with all of them; the tools clear the bits that do not count. */
function covering(ipAddresses: string[]): string {
  const ips = ipAddresses.flatMap((text) => parseIp(text) ?? []);
  const [first] = ips;
  const differing = ips.reduce((bits, { value }) => bits | (value ^ (first?.value ?? 0n)), 0n);
  const length =
    (first?.family === "ipv6" ? 128 : 32) - (differing === 0n ? 0 : differing.toString(2).length);
  return withLength(ipAddresses[0] ?? "", length);
}

const withLength = (ipAddress: string, length: number | undefined) =>
  length === undefined ? ipAddress : `${ipAddress}/${length}`;
