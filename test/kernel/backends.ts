import type { Backend } from "../../agent/kernel.ts";
import type { Command } from "../../agent/netfilter/command.ts";
import { IptablesBackend } from "../../agent/netfilter/iptables.ts";
import { NftablesBackend } from "../../agent/netfilter/nftables.ts";
import type { Tables } from "../../agent/netfilter/tables.ts";

/** Every way to put rules into a kernel; packets must not see the difference. */
export const backendNames = ["nftables", "iptables-nft", "iptables-legacy"] as const;
export type BackendName = (typeof backendNames)[number];

export function makeBackend(name: BackendName, command: Command, tables: Tables): Backend {
  if (name === "nftables") return new NftablesBackend(command, tables);
  return new IptablesBackend(name === "iptables-nft" ? "nft" : "legacy", command);
}
