import { readFileSync } from "node:fs";
import { execa } from "execa";
import type { ProcessMark } from "../support/process.ts";
import { childrenOf, launch } from "./launch.ts";
import { until } from "./patience.ts";
import type { MachinePlan } from "./plan.ts";
import { logOf, type State, updateState } from "./state.ts";

const NAMESPACES = ["--mount", "--uts", "--ipc", "--pid"];

/** A directory that a machine sees in another place; what lies under it comes along. */
export interface Mount {
  source: string;
  target: string;
}

/**
 * Starts a machine in its network namespace: its own mounts, host name and process numbers.
 * Nothing it mounts is seen outside, and the end of its first process is the end of every process in it (pid_namespaces(7)):
 * that makes the removal of a cluster quick and complete, whatever happened inside.
 */
export async function startMachine(state: State, { name, netns }: MachinePlan): Promise<void> {
  // Not `ip netns exec`: it mounts another /sys, in which the kubelet does not find its cgroups.
  const argv = ["nsenter", `--net=${netnsPath(netns)}`, "unshare", ...NAMESPACES, "--fork", "--mount-proc"];
  const init = ["tini", "--", "sleep", "infinity"]; // tini: the first process has to reap those whose parent ended.
  const log = logOf(state, `machine-${name}`);
  const { pid } = launch([...argv, ...init], log);
  const mark = await until({ what: `machine ${name} to start`, seconds: 10, log }, () => initOf(pid));
  state.machines = updateState((latest) => {
    latest.machines[name] = mark;
  }).machines;
  await run(state, name, ["hostname", name]);
  await run(state, name, ["mount", "--make-rshared", "/"]);
}

/** Mounts directories in a machine, in order. */
export async function mountAll(state: State, machine: string, mounts: readonly Mount[]): Promise<void> {
  for (const { source, target } of mounts)
    await run(state, machine, ["mount", "--no-mtab", "--rbind", source, target]);
}

/** Runs a command in a machine, to its end. */
export async function run(state: State, machine: string, argv: readonly string[]): Promise<string> {
  const [nsenter = "", ...args] = enter(state, machine, argv);
  const { stdout } = await execa(nsenter, args, { stdin: "ignore" });
  return stdout;
}

/** The command line that runs argv in all of a machine's namespaces. */
export function enter(state: State, machine: string, argv: readonly string[]): string[] {
  const init = state.machines[machine];
  if (!init) throw new Error(`machine ${machine} does not run`);
  return ["nsenter", "--target", String(init.pid), "--net", ...NAMESPACES, "--", ...argv];
}

/** Where a named network namespace can be entered. */
export function netnsPath(netns: string): string {
  return `/run/netns/${netns}`;
}

/** `unshare` forks the machine's first process; it is in place once it has become tini. */
function initOf(unshare: number): ProcessMark | undefined {
  return childrenOf(unshare).find(({ pid }) => nameOf(pid) === "tini");
}

function nameOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return undefined;
  }
}
