import type { DesiredState } from "../desired.ts";
import type { Family } from "../target.ts";
import { digit, families, header, lookup, type NamedObject, type Shape, shapes, slots } from "./objects.ts";

/** A chain with its rules; base chains begin with their hook. */
interface Chain {
  name: string;
  rules: string[];
}

/**
 * The chains for the sets and maps that there are. They never change with pods.
 *
 * - entry at -150 sees the magic IP as destination (the kernel translates at -100, whatever a nat chain's priority is):
 *   what comes from outside the node is dropped there, what clients send is counted, and flows to a pod that left the
 *   live set are refused, in the transaction that removes it. Refused after the translation, with br_netfilter, the
 *   kernel would hand the reset straight to the bridge, from the pod's own address, which a client does not know. To
 *   refuse in prerouting takes Linux 5.9.
 * - nat at -110, before kube-proxy's and iptables' -100: with equal numbers the order would be that of registration.
 *   Numbers, because nft 1.0.6 refuses `dstnat` in the output hook.
 * - guard runs after the translation: a packet that still has a magic IP as destination found no target. Refusing it in
 *   forward and in output lets pods and the node fail in milliseconds, keeps it off the uplink, and leaves no
 *   untranslated conntrack entry that would outlive it.
 * - Of an IP only our own ports are looked at where flows are cut, so that another installation may have others.
 */
export function chainsOf(state: DesiredState, objects: NamedObject[]): string {
  const names = new Set(objects.map(({ name }) => name));
  const used = families.filter((family) => names.has(`ips${digit(family)}`));
  const chains = [...entryChains(state, used), ...natChains(state, used, names), ...guardChains(used)];
  const perFamily = used.flatMap((family) => familyChains(state, family, names));
  return [...chains, ...perFamily, refuse].map(chainText).join("\n");
}

const refuse: Chain = {
  name: "refuse",
  rules: ["meta l4proto tcp counter reject with tcp reset", "counter reject with icmpx port-unreachable"],
};

function chainText({ name, rules }: Chain): string {
  return `	chain ${name} {\n${rules.map((rule) => `		${rule}\n`).join("")}	}\n`;
}

const base = (kind: string, hook: string, priority: number) =>
  `type ${kind} hook ${hook} priority ${priority}; policy accept;`;

function entryChains({ uplinks }: DesiredState, used: Family[]): Chain[] {
  const toMagicIp = (chain: string) =>
    used.map((family) => `${header(family)} daddr @ips${digit(family)} goto ${chain}${digit(family)}`);
  const arrival = uplinks === undefined ? "entry" : "arrival";
  return [
    { name: "entry-prerouting", rules: [base("filter", "prerouting", -150), ...toMagicIp(arrival)] },
    { name: "entry-output", rules: [base("filter", "output", -150), ...toMagicIp("entry")] },
  ];
}

function natChains(state: DesiredState, used: Family[], names: Set<string>): Chain[] {
  const translation = used.flatMap((family) => [
    unknownConnection(family),
    ...shapes.flatMap((shape) => dnat(family, shape, names)),
  ]);
  return [
    { name: "nat-prerouting", rules: [base("nat", "prerouting", -110), ...translation] },
    ...(state.hostClients
      ? [{ name: "nat-output", rules: [base("nat", "output", -110), ...translation] }]
      : []),
    {
      name: "nat-postrouting",
      rules: [base("nat", "postrouting", 90), ...used.flatMap((family) => masquerade(state, family))],
    },
  ];
}

/**
 * A connection that conntrack does not know, because its pod is gone or it was forgotten, is left to the guard, as with
 * nf_conntrack_tcp_loose=0, and not picked up from its middle. A pod that had another connection from the same port a
 * minute ago (TIME_WAIT) would answer with ACKs, and the client would hang instead of being reset.
 */
function unknownConnection(family: Family): string {
  const ip = header(family);
  return `${ip} daddr @ips${digit(family)} tcp flags & (fin | syn | rst | ack) != syn return`;
}

function dnat(family: Family, shape: Shape, names: Set<string>): string[] {
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

/** A target that dials itself would get an answer from itself; so would, in effect, a bridged one past netfilter. */
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
  return [
    ...(guarded ? [{ name: `arrival${end}`, rules: arrival(family, names) }] : []),
    { name: `entry${end}`, rules: entry(family) },
    { name: `count${end}`, rules: owned(family, "traffic", names, "return") },
    ...(guarded ? [{ name: `count-outside${end}`, rules: owned(family, "outside", names, "return") }] : []),
    { name: `cut${end}`, rules: owned(family, "rejected", names, "goto refuse") },
    { name: `count-rejected${end}`, rules: owned(family, "rejected", names, "return") },
    { name: `unserved${end}`, rules: unserved(family, names) },
  ];
}

/**
 * Pods are behind a virtual interface of these kinds (the kernel's rtnl_link_ops; a physical interface and loopback have
 * none, tunnels another), which carries no default route.
 */
const podInterfaces = '{ "veth", "bridge", "netkit", "tun", "dummy", "openvswitch" }';

function arrival(family: Family, names: Set<string>): string[] {
  const end = digit(family);
  const inside = names.has("uplinks") ? " iifname != @uplinks" : "";
  return [
    `meta iifkind ${podInterfaces}${inside} goto entry${end}`,
    `iifname "lo" goto entry${end}`,
    `jump count-outside${end}`,
    "counter drop",
  ];
}

/** A flow that was translated, to a pod that is not live, must not go on. */
function entry(family: Family): string[] {
  const ip = header(family);
  const end = digit(family);
  return [
    `jump count${end}`,
    `ct status dnat ${ip} daddr . ct reply ${ip} saddr != @live${end} goto cut${end}`,
  ];
}

/** What the bindings own, each counted once: whatever has a port of its own is not the whole IP's. */
function owned(family: Family, set: string, names: Set<string>, verdict: string): string[] {
  return shapes
    .map((shape): [Shape, string] => [shape, `${set}${shape}${digit(family)}`])
    .filter(([, name]) => names.has(name))
    .map(([shape, name]) => `${lookup(family, shape)} @${name} ${verdict}`);
}

function unserved(family: Family, names: Set<string>): string[] {
  const end = digit(family);
  const verdicts = shapes
    .map((shape): [Shape, string] => [shape, `policy${shape}${end}`])
    .filter(([, name]) => names.has(name))
    .map(([shape, name]) => `${lookup(family, shape)} vmap @${name}`);
  return [`jump count-rejected${end}`, ...verdicts, "goto refuse"];
}
