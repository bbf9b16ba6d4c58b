import { baseChains } from "../ruleset/iptables/question.ts";
import { families } from "../ruleset/nftables/objects.ts";
import type { Family } from "../desired/state.ts";
import { type Command, CommandError, command } from "./command.ts";
import { ask, type Flavour, tool } from "./iptables-look.ts";

/** The flavour that the node uses, and why. */
export interface FlavourChoice {
  flavour: Flavour;
  reason: string;
}

/** The chains by which kubelet shows the flavour it uses (KEP-3178), and by which it notices a flush. */
const marks = ["KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY"];

/**
 * The flavour that the node's Kubernetes uses, so that all rules are in one order. iptables-legacy is asked only if it
 * is in use: the question would load its kernel modules. A failure of one family's tool says nothing about the other.
 */
export async function detectFlavour(run: Command = command): Promise<FlavourChoice> {
  const faults: CommandError[] = [];
  for (const family of families) {
    try {
      if (await inNft(run, family))
        return { flavour: "nft", reason: "Kubernetes' chains are in iptables-nft" };
    } catch (error) {
      if (!(error instanceof CommandError) || /permission denied|not permitted/i.test(error.stderr))
        throw error;
      faults.push(error);
    }
  }
  const [fault] = faults;
  if (fault !== undefined && faults.length === families.length)
    return { flavour: "legacy", reason: `iptables-nft does not work on this node: ${fault.message}` };
  for (const family of families) {
    if (await inLegacy(run, family))
      return { flavour: "legacy", reason: "Kubernetes' chains are in iptables-legacy" };
  }
  return {
    flavour: "nft",
    reason: "the kernel has nf_tables, and Kubernetes has no chains in iptables-legacy",
  };
}

/** Whether iptables-nft has kubelet's marks, or jumps to kube-proxy's chains. */
async function inNft(run: Command, family: Family): Promise<boolean> {
  const keep = () => (line: string) => /^-[PN] | -[jg] KUBE-/.test(line);
  const { listing } = await ask(run, family, baseChains, { keep });
  if (/ -[jg] KUBE-/.test(listing)) return true;
  const chains = marks.map((name) => ({ table: "mangle", name }));
  return (await ask(run, family, chains, { keep })).listing !== "";
}

/** Asks for one table at a time, the small ones first: reading kube-proxy's nat can take more memory than there is. */
async function inLegacy(run: Command, family: Family): Promise<boolean> {
  const names = family === "ipv4" ? "/proc/net/ip_tables_names" : "/proc/net/ip6_tables_names";
  const tables = (await run("cat", [names]).catch(() => "")).split("\n");
  for (const table of ["mangle", "filter", "nat"].filter((name) => tables.includes(name))) {
    const keep = (line: string) => line.startsWith(":KUBE-");
    try {
      if ((await run(`${tool[family]}-legacy-save`, ["-t", table], undefined, keep)) !== "") return true;
    } catch (error) {
      if (family === "ipv4" || !(error instanceof CommandError)) throw error;
    }
  }
  return false;
}
