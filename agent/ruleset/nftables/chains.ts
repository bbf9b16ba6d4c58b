import type { DesiredState, Family } from "../../desired/state.ts";
import { podKinds } from "../../desired/network.ts";
import { digit, families, header, lookup, slots } from "./lookup.ts";
import { neighbourRules } from "./neighbours.ts";
import type { NamedObject } from "./objects.ts";
import { rangeChains, type Role, toRanges } from "./ranges.ts";

/** A chain with its rules; base chains begin with their hook. */
interface Chain {
  name: string;
  rules: string[];
}

/**
 * The chains for the existing sets and maps. They do not change with pods.
 *
 * - entry, at -150, sees the magic IP as destination (the kernel translates at -100, whatever a nat chain's priority
 *   is). It drops what comes from outside the node, counts what clients send, and refuses flows to a pod that left the
 *   live set, in the transaction that removes it. After the translation, with br_netfilter, the kernel would hand the
 *   reset straight to the bridge, from the pod's own address, which a client does not know. Refusing in prerouting
 *   takes Linux 5.9. Forged packets are dropped here, because conntrack confirms an entry only later.
 * - nat, at -110, is before kube-proxy's and iptables' -100: with equal numbers the order of registration would decide.
 *   Priorities are numbers, because nft 1.0.6 refuses `dstnat` in the output hook.
 * - guard runs after the translation: a packet that still has a magic IP as destination found no target. Refusing it in
 *   forward and in output lets pods and the node fail in milliseconds, keeps it off the uplink, and leaves no
 *   untranslated conntrack entry that would outlive it. Not in input: a magic IP that is the node's own address by mistake
 *   must not lose its other ports, as ssh.
 * - Flows are cut only on our own ports of an IP. Elsewhere another installation's packets are passed on to its table.
 */
export function chainsOf(state: DesiredState, objects: NamedObject[]): string {
  const names = new Set(objects.map(({ name }) => name));
  const used = families.filter((family) => names.has(`ips${digit(family)}`));
  const chains = [...entryChains(state, used), ...natChains(state, used, names), ...guardChains(used)];
  const perFamily = used.flatMap((family) => familyChains(state, family, names));
  return [...chains, ...perFamily, refuse(state)].map(chainText).join("\n");
}

/**
 * INVALID includes a segment outside the window of a healthy connection, which a reset would end
 * (iptables-extensions(8), REJECT). Without tcp_loose all segments of unknown connections are INVALID, and must be
 * reset.
 */
function refuse({ tcpLoose = true }: DesiredState): Chain {
  return {
    name: "refuse",
    rules: [
      `${tcpLoose ? "" : "meta l4proto != tcp "}ct state invalid counter drop`,
      "meta l4proto tcp counter reject with tcp reset",
      "counter reject with icmpx port-unreachable",
    ],
  };
}

function chainText({ name, rules }: Chain): string {
  return `	chain ${name} {\n${rules.map((rule) => `		${rule}\n`).join("")}	}\n`;
}

const base = (kind: string, hook: string, priority: number) =>
  `type ${kind} hook ${hook} priority ${priority}; policy accept;`;

function entryChains({ uplinks, tcpLoose = true }: DesiredState, used: Family[]): Chain[] {
  const toMagicIp = (chain: string) =>
    used.map((family) => `${header(family)} daddr @ips${digit(family)} goto ${chain}${digit(family)}`);
  const arrival = uplinks === undefined ? "entry" : "arrival";
  const chain = (hook: string, to: string, others: string[]): Chain => ({
    name: `entry-${hook}`,
    rules: [base("filter", hook, -150), ...toMagicIp(to), "ct state new goto forged", ...others],
  });
  return [
    chain("prerouting", arrival, tcpLoose ? [invalid] : []),
    chain("output", "entry", []),
    { name: "forged", rules: used.map(forged) },
    ...(tcpLoose ? [{ name: "misplaced", rules: used.map(misplaced) }] : []),
  ];
}

/**
 * No flow begins at a magic IP: its pods' answers get it as their source after these hooks. If conntrack remembered a
 * forged packet to a client's port, what the client sends from there would be the answer, and not be translated.
 */
function forged(family: Family): string {
  return `${header(family)} saddr @ips${digit(family)} counter drop`;
}

/**
 * A target's INVALID segment would leave with the pod's own address. Its client knows no such connection, and would
 * reset the target's end (kubernetes/kubernetes#74839; kube-proxy drops all INVALID packets). Segments with FIN, SYN or
 * RST pass: where a connection passes this node in one direction only, its SYN-ACK is INVALID, too.
 */
const invalid = "ct state invalid tcp flags & (fin | syn | rst) == 0x0 goto misplaced";

function misplaced(family: Family): string {
  const ip = header(family);
  return `${ip} saddr . ${ip} saddr @hairpin${digit(family)} counter drop`;
}

/**
 * Each hook of nat has two chains with the same rules, because a packet can meet the old and the new table:
 * nf_tables_commit switches the generation, and each base chain reads it when the packet enters the chain. The new
 * chain comes before the old one of the same priority. A packet that enters the new one before the switch, and the old
 * one after it, finds no rule (5 of 270,000 connections in 230 replacements); one that looks in an old map after the
 * switch finds it empty. The second chain runs later, finds the new rules, and is skipped where the first translated.
 */
function natChains(state: DesiredState, used: Family[], names: Set<string>): Chain[] {
  const translated = used.map(
    (family) => `${header(family)} daddr @ips${digit(family)} goto translate${digit(family)}`,
  );
  const masqueraded = used.flatMap((family) => masquerade(state, family));
  const hooks = ["prerouting", ...(state.hostClients ? ["output"] : [])];
  return [
    ...used.map((family) => ({ name: `translate${digit(family)}`, rules: translation(family, names) })),
    ...hooks.flatMap((hook) => twice(hook, -110, translated)),
    ...twice("postrouting", 90, masqueraded),
  ];
}

function twice(hook: string, priority: number, rules: string[]): Chain[] {
  return [
    { name: `nat-${hook}`, rules: [base("nat", hook, priority), ...rules] },
    { name: `nat-${hook}-again`, rules: [base("nat", hook, priority + 1), ...rules] },
  ];
}

function translation(family: Family, names: Set<string>): string[] {
  return [
    unknownConnection(),
    ...dnat(family, "", names),
    ...toRanges(names, family, "targets"),
    ...dnat(family, "-whole", names),
  ];
}

/**
 * A connection that conntrack does not know, because its pod is gone or its entry is, is left to the guard, as with
 * nf_conntrack_tcp_loose=0, and not taken up from its middle. A pod that had another connection from the same port a
 * minute ago (TIME_WAIT) would answer with ACKs, and the client would hang instead of being reset.
 */
function unknownConnection(): string {
  return "tcp flags & (fin | syn | rst | ack) != syn return";
}

function dnat(family: Family, shape: "" | "-whole", names: Set<string>): string[] {
  const suffix = `${shape}${digit(family)}`;
  const by = lookup(family, shape);
  const to = (map: string, draw: string) =>
    names.has(map) ? [`dnat ${header(family)} to ${by}${draw} map @${map}`] : [];
  return [
    ...to(`targets${suffix}`, ""),
    ...to(`spread${suffix}`, ` . numgen random mod ${slots}`),
    ...(names.has(`special${suffix}`) ? [`${by} @special${suffix} return`] : []),
  ];
}

/** Without it a target that dials itself would answer itself, and a bridged target would answer past netfilter. */
function masquerade(state: DesiredState, family: Family): string[] {
  const ip = header(family);
  const translated = `ct original ${ip} daddr @ips${digit(family)} ct status dnat`;
  switch (state.masquerade[family]) {
    case "always":
      return [`${translated} masquerade`];
    case "bridged":
      return [hairpin(family), `${translated} meta iifkind "bridge" meta oifkind "bridge" masquerade`];
    case "hairpin":
      return [hairpin(family)];
  }
}

function hairpin(family: Family): string {
  const ip = header(family);
  const end = digit(family);
  return `ct original ${ip} daddr @ips${end} ${ip} saddr . ${ip} daddr @hairpin${end} masquerade`;
}

function guardChains(used: Family[]): Chain[] {
  const guard = used.map(
    (family) => `${header(family)} daddr @ips${digit(family)} goto unserved${digit(family)}`,
  );
  return ["forward", "output"].map((hook) => ({
    name: `guard-${hook}`,
    rules: [base("filter", hook, -10), ...guard],
  }));
}

function familyChains(state: DesiredState, family: Family, names: Set<string>): Chain[] {
  const end = digit(family);
  const guarded = state.uplinks !== undefined;
  const neighbours = neighbourRules(state, family, names);
  const toNeighbours = neighbours.length === 0 ? [] : [`jump neighbours${end}`];
  const rest: Record<Role, string[]> = {
    targets: dnat(family, "-whole", names),
    traffic: counted("traffic-whole", family, names, `goto owned${end}`),
    outside: [...toNeighbours, ...counted("outside-whole", family, names, "drop"), "counter drop"],
    rejected: counted("rejected-whole", family, names, "return"),
    policy: [...toNeighbours, ...policy("-whole", family, names), "goto refuse"],
  };
  const ofRole = (role: Role) => [...toRanges(names, family, role), ...rest[role]];
  return [
    ...(guarded ? [{ name: `arrival${end}`, rules: arrival(state, family, names) }] : []),
    {
      name: `entry${end}`,
      rules: [...counted("traffic", family, names, `goto owned${end}`), ...ofRole("traffic")],
    },
    { name: `owned${end}`, rules: owned(family) },
    ...(guarded
      ? [
          {
            name: `outsiders${end}`,
            rules: [...counted("outside", family, names, "drop"), ...ofRole("outside")],
          },
        ]
      : []),
    { name: `cut${end}`, rules: [`jump count-rejected${end}`, "goto refuse"] },
    {
      name: `count-rejected${end}`,
      rules: [...counted("rejected", family, names, "return"), ...ofRole("rejected")],
    },
    {
      name: `unserved${end}`,
      rules: [`jump count-rejected${end}`, ...policy("", family, names), ...ofRole("policy")],
    },
    ...(neighbours.length === 0 ? [] : [{ name: `neighbours${end}`, rules: neighbours }]),
    ...rangeChains(state, family, rest),
  ];
}

/**
 * Pods are behind an interface of these kinds that is not known to lead outside. Uplinks are known by their index, too,
 * because a name may be any bytes and may change; the name still matches when a link is made anew. An index is written
 * with 16 digits, which no interface can have as its name.
 */
function arrival({ uplinkIndexes = [] }: DesiredState, family: Family, names: Set<string>): string[] {
  const end = digit(family);
  const named = names.has("uplinks") ? " iifname != @uplinks" : "";
  const indexes = uplinkIndexes.map((index) => `"${String(index).padStart(16, "0")}"`);
  const numbered = indexes.length > 0 ? ` iif != { ${indexes.join(", ")} }` : "";
  const kinds = podKinds.map((kind) => `"${kind}"`).join(", ");
  return [
    `meta iifkind { ${kinds} }${named}${numbered} goto entry${end}`,
    `iifname "lo" goto entry${end}`,
    `goto outsiders${end}`,
  ];
}

/** Refuses a translated flow to a pod that is not live. */
function owned(family: Family): string[] {
  const ip = header(family);
  const end = digit(family);
  return [`ct status dnat ${ip} daddr . ct reply ${ip} saddr != @live${end} goto cut${end}`];
}

/** What bindings of one shape own, counted. Single ports come before ranges, and ranges before whole IPs. */
function counted(set: string, family: Family, names: Set<string>, verdict: string): string[] {
  const name = `${set}${digit(family)}`;
  const shape = set.endsWith("-whole") ? "-whole" : "";
  return names.has(name) ? [`${lookup(family, shape)} @${name} ${verdict}`] : [];
}

function policy(shape: "" | "-whole", family: Family, names: Set<string>): string[] {
  const name = `policy${shape}${digit(family)}`;
  return names.has(name) ? [`${lookup(family, shape)} vmap @${name}`] : [];
}
