import type { ToolState } from "./scope.ts";
import { type Command, CommandError, remedy } from "../netfilter/command.ts";
import { program } from "../netfilter/netlink.ts";

/** What the rules of a magic IP are made of. Each part is a chain of its own, so that the one a kernel lacks can be named. */
const parts: Record<string, string> = {
  "maps and dnat (nft_chain_nat, nft_nat)": `map targets { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
chain of-nat { type nat hook prerouting priority -110; dnat ip to ip daddr . meta l4proto . th dport map @targets; }`,
  "masquerade (nft_masq)":
    "chain of-masquerade { type nat hook postrouting priority 90; ct status dnat masquerade; }",
  "reject (nft_reject_inet)": `chain of-reject { type filter hook forward priority -10; meta l4proto tcp reject with tcp reset; reject with icmpx port-unreachable; }`,
  "interface kinds (meta iifkind)": `chain of-kind { type filter hook prerouting priority -150; meta iifkind "veth" counter; }`,
  "conntrack's original address (nft_ct)": `chain of-original { type filter hook forward priority -10; ct direction original ct original ip daddr 192.0.2.1 counter; }`,
};

/** Whether nft accepts rules such as ours: this kernel checks them and does not install them. */
export async function probeNft(command: Command): Promise<ToolState> {
  const whole = await probe(command, "nft", ["--check", "--file", "-"], table(Object.values(parts)));
  if (whole.works || whole.fault !== "FAILED") return whole;
  const lacking: string[] = [];
  for (const [name, text] of Object.entries(parts)) {
    const { works } = await probe(command, "nft", ["--check", "--file", "-"], table([text]));
    if (!works) lacking.push(name);
  }
  // Where every part fails, the cause is none of them.
  return lacking.length === Object.keys(parts).length ? whole : { ...whole, lacking };
}

/** Whether connection tracking answers our program. If so, it can delete entries, too: both need NET_ADMIN. */
export async function probeConntrack(command: Command): Promise<ToolState> {
  return probe(
    async (file, args, input) => {
      const answer = await command(file, args, input);
      const { error, message } = JSON.parse(answer) as { error?: string; message?: string };
      if (error === undefined) return answer;
      const said = message ?? error;
      throw new CommandError(
        "FAILED",
        undefined,
        said,
        `connection tracking: ${said}${remedy(said)}`,
        undefined,
      );
    },
    program,
    ["flows"],
    "1 count\n",
  );
}

/** The flavours of iptables that are installed. */
export async function findIptables(command: Command): Promise<string[]> {
  const flavours = ["iptables-nft", "iptables-legacy"];
  const states = await Promise.all(
    flavours.map((flavour) => probe(command, `${flavour}-restore`, ["--version"])),
  );
  return flavours.filter((_, index) => states[index]?.works);
}

async function probe(command: Command, file: string, args: string[], input?: string): Promise<ToolState> {
  try {
    await command(file, args, input);
    return { works: true };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { works: false, fault: error.fault, message: error.message };
  }
}

/** No instance's table has this name, because instances have no underscore. */
function table(chains: string[]): string {
  return `table inet magic_ip_probe {\n${chains.join("\n")}\n}\n`;
}
