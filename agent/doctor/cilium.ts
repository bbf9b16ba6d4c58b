import type { Survey } from "./scope.ts";
import type { ForeignChains } from "./chains.ts";
import type { Read } from "../netfilter/node.ts";
import type { Reader } from "./reader.ts";

/** One family's tables, by the tool that shows them. */
interface Tables {
  family: "ipv4" | "ipv6";
  /** The rules of a chain with their counters; undefined: there is no such chain. */
  list(table: "nat" | "filter", chain: string): Promise<string | undefined>;
}

/** What Cilium's rules show, read with nft and with iptables-legacy. */
export async function readCilium(
  reader: Reader,
  read: Read,
  interfaces: string[],
  chains: ForeignChains,
): Promise<Survey["cilium"]> {
  if (!interfaces.some((name) => /^cilium_(host|net)$/.test(name))) return undefined;
  const before = reader.unreadable.length;
  const inNftables = [...chains.sizes.keys()].some((table) => table.endsWith(" kube-proxy"));
  const found = {
    replacesKubeProxy: !inNftables && !interfaces.includes("kube-ipvs0"),
    masquerades: { ipv4: false, ipv6: false },
    forwards: false,
  };
  for (const { family, list } of [...nftTables(reader, chains), ...(await legacyTables(reader, read))]) {
    if ((await list("nat", "KUBE-SERVICES")) !== undefined) found.replacesKubeProxy = false;
    if (masquerades((await list("nat", "CILIUM_POST_nat")) ?? "")) found.masquerades[family] = true;
    if (forwards((await list("filter", "CILIUM_FORWARD")) ?? "")) found.forwards = true;
  }
  return reader.unreadable.length > before || chains.unread ? "unknown" : found;
}

function nftTables(reader: Reader, { known }: ForeignChains): Tables[] {
  return (["ip", "ip6"] as const).map((family) => ({
    family: family === "ip" ? "ipv4" : "ipv6",
    list: async (table, chain) => {
      if (!known.has(`${family} ${table} ${chain}`)) return undefined;
      // Of kube-proxy's chain only the existence matters.
      if (chain === "KUBE-SERVICES") return "";
      return reader.lines(`Cilium's chain ${chain}`, "nft", [
        "--numeric",
        "list",
        "chain",
        family,
        table,
        chain,
      ]);
    },
  }));
}

async function legacyTables(reader: Reader, read: Read): Promise<Tables[]> {
  const found: Tables[] = [];
  for (const [family, tool, file] of [
    ["ipv4", "iptables-legacy", "ip_tables_names"],
    ["ipv6", "ip6tables-legacy", "ip6_tables_names"],
  ] as const) {
    const tables = ((await read(`/proc/net/${file}`)) ?? "").split("\n");
    found.push({
      family,
      list: async (table, chain) => {
        if (!tables.includes(table)) return undefined;
        const args = ["--table", table, "--list-rules", chain, "--verbose"];
        const matters = (line: string) => chain !== "KUBE-SERVICES" || line.startsWith("-N ");
        const text = await reader.lines(`${tool}'s chain ${chain}`, tool, args, matters);
        return text === "" ? undefined : text;
      },
    });
  }
  return found;
}

/** The rule for "hairpin traffic that originated from a local pod" (Cilium's pkg/datapath/iptables). */
function masquerades(rules: string): boolean {
  return /^.*(ct status (dnat|0x0*20)\b.* snat to |--ctstate DNAT .*-j SNAT )/m.test(rules);
}

/** Whether Cilium's rule for what pods send, `-i lxc+`, has counted packets. */
function forwards(rules: string): boolean {
  return /^.*(iifname "lxc\*".* counter packets [1-9]|-i lxc\+ .*-c [1-9])/m.test(rules);
}
