import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "../config/config.ts";
import { desired } from "../desired/desired.ts";
import type { NodeFacts } from "../desired/node.ts";
import { ruleset } from "../ruleset/nftables/table.ts";
import type { Backend } from "../kernel.ts";
import { type Command, CommandError, command } from "./command.ts";
import { detectFlavour } from "./flavour.ts";
import { IptablesBackend } from "./iptables.ts";
import { NftablesBackend } from "./nftables.ts";
import { nodeTables, type Tables } from "./tables.ts";

/** A backend, and why it is this one. */
export interface BackendChoice {
  backend: Backend;
  reason: string;
}

/**
 * The backend that the configuration names. With `auto`: nftables where this node's nft and kernel accept exactly these
 * rules, else iptables where it works. Where neither works: nftables, because its errors say what is missing.
 */
export async function chooseBackend(
  config: Config,
  node: NodeFacts,
  run: Command = command,
  tables: Tables = nodeTables,
  pause = retryPause,
): Promise<BackendChoice> {
  const nftables = new NftablesBackend(run, tables);
  const patiently = patient(run, pause);
  if (config.backend === "nftables") return { backend: nftables, reason: "the configuration says so" };
  if (config.backend === "iptables") return await iptables(patiently, run);
  const text = ruleset(desired(config, node, []));
  const fault = await attempt(() => patiently("nft", ["-c", "-f", "-"], text));
  if (fault === undefined) return { backend: nftables, reason: "nft takes the rules" };
  // After MEMORY iptables is tried: other programs' rules may need that memory for good, and iptables may need less.
  if (isPassing(fault) && fault.fault !== "MEMORY" && (await hasRules(nftables, config.instance)))
    return { backend: nftables, reason: `the rules are there, although ${fault.message}` };
  const second = await iptables(patiently, run);
  const secondFault = await attempt(() => second.backend.instances());
  if (secondFault === undefined) return { ...second, reason: `${fault.message}; ${second.reason}` };
  return { backend: nftables, reason: `nothing works here: ${fault.message}; ${secondFault.message}` };
}

/** Attempts, and milliseconds between two: the choice holds until the process ends, so one failure must not make it. */
const [attempts, retryPause] = [3, 1_000];

/** Whether the tool may work later: it hung, crashed, or had no memory. */
function isPassing({ fault }: CommandError): boolean {
  return ["TIMEOUT", "CRASHED", "MEMORY"].includes(fault);
}

/** The same command; it repeats a call that failed for a passing reason. */
function patient(run: Command, pause: number): Command {
  return async (...words) => {
    for (let count = 1; ; count++) {
      try {
        return await run(...words);
      } catch (error) {
        if (!(error instanceof CommandError) || !isPassing(error) || count === attempts) throw error;
        await delay(pause);
      }
    }
  };
}

async function hasRules(backend: Backend, instance: string): Promise<boolean> {
  return (await backend.instances().catch((): string[] => [])).includes(instance);
}

/** Milliseconds after which a backend that does not answer is treated as one that may have rules. */
const answerTime = 1_000;

/**
 * All backends that may hold rules of ours on this node, for the cleanup. A backend is left out only if it cannot hold
 * any: its tool is missing, or the kernel lacks its support. A tool that fails or hangs may still have rules.
 */
export async function everyBackend(run: Command = command, tables: Tables = nodeTables): Promise<Backend[]> {
  const candidates = [
    new NftablesBackend(run, tables),
    new IptablesBackend("nft", run),
    new IptablesBackend("legacy", run),
  ];
  const absent = await Promise.all(
    candidates.map((backend) =>
      Promise.race([isAbsent(backend, run), delay(answerTime, false, { ref: false })]),
    ),
  );
  const possible = candidates.filter((_backend, index) => !absent[index]);
  // Without a possible backend the caller gets the first one's error.
  return possible.length > 0 ? possible : candidates.slice(0, 1);
}

/** Whether the process lacks the permission to ask. */
export function isForbidden(error: unknown): boolean {
  return error instanceof CommandError && /permission denied|not permitted/i.test(error.stderr);
}

/** What nft, iptables-nft and iptables-legacy print where the kernel lacks the support they need. */
const kernelLacks =
  /protocol not supported|cache initialization failed: (invalid argument|operation not supported)|table does not exist/i;

async function isAbsent(backend: Backend, run: Command): Promise<boolean> {
  try {
    await backend.instances();
    return false;
  } catch (error) {
    if (!(error instanceof CommandError)) return false;
    // IPv4 is asked first: if ip6tables is reported as missing, iptables is there.
    if (error.fault === "MISSING") return !error.message.startsWith("ip6tables");
    if (kernelLacks.test(error.stderr)) return true;
    return backend.name === "iptables-legacy" && isForbidden(error) && !(await usesLegacy(run));
  }
}

/** Whether the kernel has tables of iptables-legacy. Reading tables needs NET_RAW, reading their names does not. */
async function usesLegacy(run: Command): Promise<boolean> {
  const files = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"];
  const names = await Promise.all(files.map((file) => run("cat", [file]).catch(() => "")));
  return names.some((text) => text !== "");
}

async function iptables(patiently: Command, run: Command): Promise<BackendChoice> {
  const { flavour, reason } = await detectFlavour(patiently);
  return { backend: new IptablesBackend(flavour, run), reason };
}

/** The action's error; undefined if it succeeded. */
async function attempt(action: () => Promise<unknown>): Promise<CommandError | undefined> {
  try {
    await action();
    return undefined;
  } catch (error) {
    if (error instanceof CommandError) return error;
    throw error;
  }
}
