import type { Backend } from "../../agent/kernel.ts";
import type { Command } from "../../agent/netfilter/command.ts";
import { IptablesBackend } from "../../agent/netfilter/iptables.ts";
import { NftablesBackend } from "../../agent/netfilter/nftables.ts";
import type { Tables } from "../../agent/netfilter/tables.ts";
import { isLong } from "../support/long.ts";

/** Every way to put rules into a kernel; packets must not see the difference. */
export const backendNames = ["nftables", "iptables-nft", "iptables-legacy"] as const;

/**
 * Those that the short form of the tests tries where matrix.test.ts has every cell for each: iptables-legacy gets the rules
 * of iptables-nft, by other tools.
 */
export const triedBackends: readonly BackendName[] = isLong ? backendNames : backendNames.slice(0, 2);
export type BackendName = (typeof backendNames)[number];

export function makeBackend(name: BackendName, command: Command, tables: Tables): Backend {
  if (name === "nftables") return new NftablesBackend(command, tables);
  return new IptablesBackend(name === "iptables-nft" ? "nft" : "legacy", command);
}
