import type { DroppingChain, Survey } from "../doctor.ts";
import type { ServiceAddress } from "../taken.ts";
import { conntrackPriority, untrackedLegacyRules, untrackedRules } from "../untracked.ts";
import { type Command, CommandError } from "./command.ts";
import type { Read } from "./node.ts";

/** What of others' rules decides on packets to a magic IP. */
export type OthersRules = Pick<Survey, "dropping" | "untracked" | "services"> & { unreadable: string[] };

interface Chain {
  family: string;
  table: string;
  name: string;
  /** Of a base chain. */
  hook: string;
  priority: number;
  policy: string;
}

/**
 * Reads what matters of others' rules. Only the names of all chains are asked for, and then the few chains and maps that
 * can matter: a ruleset of kube-proxy may have megabytes, and nft 1.0.6 crashes on some tables of newer tools
 * (kubernetes/kubernetes#136786), which is then told of that table alone.
 */
export async function readOthersRules(
  command: Command,
  read: Read,
  ipAddresses: string[],
): Promise<OthersRules> {
  const reader = new Reader(command, ipAddresses);
  const listing = await reader.run("the names of all chains", "nft", [
    "--numeric-priority",
    "list",
    "chains",
  ]);
  const chains = parseChains(listing);
  const [dropping, untracked, services, ipv4, ipv6] = [
    await readDropping(reader, chains),
    await readUntracked(reader, chains),
    await readServices(reader, chains),
    await readLegacy(reader, read, "ip"),
    await readLegacy(reader, read, "ip6"),
  ];
  return {
    dropping: [...dropping, ...ipv4.dropping, ...ipv6.dropping],
    untracked: [...untracked, ...ipv4.untracked, ...ipv6.untracked],
    services: [...services, ...ipv4.services, ...ipv6.services],
    unreadable: reader.unreadable,
  };
}

/** Runs tools and remembers which failed; what could not be read is empty. */
class Reader {
  readonly unreadable: string[] = [];

  constructor(
    readonly command: Command,
    readonly ipAddresses: string[],
  ) {}

  /** The same, where only the magic IPs matter: most of the time none of them is in the megabytes that may come. */
  async search(what: string, file: string, args: string[]): Promise<string> {
    const text = await this.run(what, file, args);
    return this.ipAddresses.some((ipAddress) => text.includes(ipAddress)) ? text : "";
  }

  async run(what: string, file: string, args: string[]): Promise<string> {
    try {
      return await this.command(file, args);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      // Between two commands somebody may have removed it.
      if (!/no such file or directory|no chain\/target\/match by that name/i.test(error.stderr))
        this.unreadable.push(`${what}: ${error.message}`);
      return "";
    }
  }
}

export function parseChains(listing: string): Chain[] {
  return [...listing.matchAll(/^table (\S+) (\S+) \{\n([\s\S]*?)^\}$/gm)].flatMap(
    ([, family = "", table = "", body = ""]) =>
      [...body.matchAll(/^\tchain (\S+) \{\n([\s\S]*?)^\t\}$/gm)].map(([, name = "", text = ""]) => {
        const [, hook = "", priority = "0", policy = ""] =
          /hook (\S+).* priority (-?\d+); policy (\w+);/.exec(text) ?? [];
        return { family, table, name, hook, priority: Number(priority), policy };
      }),
  );
}

async function readDropping(reader: Reader, chains: Chain[]): Promise<DroppingChain[]> {
  const found: DroppingChain[] = [];
  for (const { family, table, name, hook, policy } of chains) {
    if (hook !== "forward" || policy !== "drop" || !isIpFamily(family)) continue;
    const isIptables = family !== "inet" && table === "filter" && name === "FORWARD";
    const args = ["--numeric", "--stateless", "list", "chain", family, table, name];
    const rules = await reader.run(`the chain ${name} of the table ${family} ${table}`, "nft", args);
    const names = chains.filter((chain) => chain.family === family && chain.table === table);
    const owner = ownerOf(
      table,
      names.map((chain) => chain.name),
    );
    const tool = isIptables ? "iptables" : "nft";
    found.push({ tool, family, table, chain: name, owner, accepted: acceptedBy(rules) });
  }
  return found;
}

function isIpFamily(family: string): family is DroppingChain["family"] {
  return family === "ip" || family === "ip6" || family === "inet";
}

/** Whose firewall it is, by the names that it gives its chains. */
function ownerOf(table: string, chains: string[]): string | undefined {
  if (table === "firewalld") return "firewalld";
  const owners: [RegExp, string][] = [
    [/^ufw6?-/, "ufw"],
    [/^DOCKER/, "Docker"],
  ];
  return owners.find(([pattern]) => chains.some((name) => pattern.test(name)))?.[1];
}

/** What the chain accepts of translated packets, by rules that ask for nothing else; 0x20 is `dnat`. */
function acceptedBy(rules: string): DroppingChain["accepted"] {
  const plain = rules.split("\n").map((rule) =>
    rule
      .trim()
      .replace(/ counter\b/, "")
      .replace(/ comment "[^"]*"/, ""),
  );
  if (plain.some((rule) => /^(ct status (0x0*20|dnat) )?accept$/.test(rule))) return "all";
  return plain.flatMap((rule) => {
    const [, list = ""] = /^ct original (?:ip6? )?daddr (\{[^}]*\}|\S+) accept$/.exec(rule) ?? [];
    return list
      .replace(/[{}]/g, "")
      .split(",")
      .map((ip) => ip.trim())
      .filter(Boolean);
  });
}

async function readUntracked(reader: Reader, chains: Chain[]): Promise<Survey["untracked"]> {
  const early = chains.filter(({ hook, priority, family }) => {
    return ["prerouting", "output"].includes(hook) && priority <= conntrackPriority && isIpFamily(family);
  });
  const tables = new Set(early.map(({ family, table }) => `${family} ${table}`));
  const found: Survey["untracked"] = [];
  for (const table of tables) {
    const [family = "", name = ""] = table.split(" ");
    const args = ["--numeric", "--stateless", "--terse", "list", "table", family, name];
    found.push(...untrackedRules(family, name, await reader.run(`the table ${table}`, "nft", args)));
  }
  return found;
}

/** Chains of kube-proxy in iptables' tables that name Services' addresses, with and without endpoints. */
const serviceChains = [
  ["nat", "KUBE-SERVICES"],
  ["filter", "KUBE-SERVICES"],
  ["filter", "KUBE-EXTERNAL-SERVICES"],
] as const;

async function readServices(reader: Reader, chains: Chain[]): Promise<ServiceAddress[]> {
  const found: ServiceAddress[] = [];
  for (const family of ["ip", "ip6"]) {
    if (chains.some((chain) => chain.family === family && chain.table === "kube-proxy")) {
      for (const map of ["service-ips", "no-endpoint-services"]) {
        const text = await reader.search(`kube-proxy's map ${map}`, "nft", [
          "--numeric",
          "list",
          "map",
          family,
          "kube-proxy",
          map,
        ]);
        found.push(...servicesOfMap(text));
      }
    }
    for (const [table, name] of serviceChains) {
      if (!chains.some((chain) => chain.family === family && chain.table === table && chain.name === name))
        continue;
      const args = ["--numeric", "--stateless", "list", "chain", family, table, name];
      found.push(...servicesOfRules(await reader.search(`kube-proxy's chain ${name}`, "nft", args)));
    }
  }
  return found;
}

/** `10.96.0.10 . 17 . 53 : goto service-NWBZK7IH-kube-system/kube-dns/udp/dns`, as kube-proxy names its chains. */
export function servicesOfMap(text: string): ServiceAddress[] {
  const element =
    /([\da-f.:]+) \. \w+ \. \d+(?: comment "[^"]*")? : (?:(?:goto|jump) (?:service|external)-\w+-([^/\s",]+\/[^/\s",]+))?/g;
  return [...text.matchAll(element)].map(([, ipAddress = "", service]) => ({ ipAddress, service }));
}

/** Rules of nft (`ip daddr 10.96.0.10`) and of iptables (`-d 10.96.0.10/32`). */
export function servicesOfRules(text: string): ServiceAddress[] {
  const destination = /(?:\bip6? daddr|(?<!! )-d) ([\da-f.:]+)(?:\/(?:32|128))?(?=\s)/g;
  return [...text.matchAll(destination)].map(([, ipAddress = ""]) => ({ ipAddress, service: undefined }));
}

/**
 * Rules of iptables-legacy, which nft does not show. It is only asked about the tables that the kernel has already:
 * asking for another would make it (/proc/net/ip_tables_names is what Felix looks at too).
 */
async function readLegacy(
  reader: Reader,
  read: Read,
  family: "ip" | "ip6",
): Promise<Omit<OthersRules, "unreadable">> {
  const names = (await read(`/proc/net/${family}_tables_names`)) ?? "";
  const tables = names.split("\n");
  const tool = family === "ip" ? "iptables-legacy" : "ip6tables-legacy";
  const list = async (table: string, ...chain: string[]) =>
    tables.includes(table)
      ? reader.run(`${tool}'s table ${table}`, tool, ["--table", table, "--list-rules", ...chain])
      : "";
  const filter = await list("filter");
  const services = [
    await list("nat", ...(tables.includes("nat") ? ["KUBE-SERVICES"] : [])),
    filterServices(filter),
  ];
  return {
    dropping: filter.includes("-P FORWARD DROP\n") ? [legacyDropping(family, filter)] : [],
    untracked: untrackedLegacyRules(family, tool, await list("raw")),
    services: services.flatMap(servicesOfRules),
  };
}

function filterServices(filter: string): string {
  return filter
    .split("\n")
    .filter((line) => /^-A KUBE-(EXTERNAL-)?SERVICES /.test(line))
    .join("\n");
}

function legacyDropping(family: "ip" | "ip6", filter: string): DroppingChain {
  const names = [...filter.matchAll(/^-N (\S+)$/gm)].map(([, name = ""]) => name);
  const translated = /^-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT$/m.test(filter);
  const single = [...filter.matchAll(/^-A FORWARD -m conntrack --ctorigdst (\S+) -j ACCEPT$/gm)];
  const accepted = translated ? "all" : single.map(([, ip = ""]) => ip.replace(/\/(32|128)$/, ""));
  return {
    tool: "iptables-legacy",
    family,
    table: "filter",
    chain: "FORWARD",
    owner: ownerOf("filter", names),
    accepted,
  };
}
