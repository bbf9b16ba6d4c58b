import { isAlive } from "../support/process.ts";
import { endLaunched, launch } from "./launch.ts";
import { enter } from "./machine.ts";
import type { Patience } from "./patience.ts";
import { logOf, type State, updateState } from "./state.ts";

/** A program that shall keep running in the background. */
export interface DaemonPlan {
  name: string;
  /** The machine it runs on; without one, the host. */
  machine?: string;
  argv: readonly string[];
}

/** Starts a program that keeps running when this process ends, and records it. */
export function startDaemon(state: State, { name, machine, argv }: DaemonPlan): void {
  const mark = launch(machine ? enter(state, machine, argv) : argv, logOf(state, name));
  state.daemons = updateState((latest) => latest.daemons.push({ name, mark })).daemons;
}

/** Stops a program and returns when it is gone; `kill` as in a power cut. */
export async function stopDaemon(state: State, name: string, how: "ask" | "kill"): Promise<void> {
  const daemon = state.daemons.find((known) => known.name === name);
  if (daemon && isAlive(daemon.mark)) await endLaunched(daemon.mark, how);
  state.daemons = updateState((latest) => {
    latest.daemons = latest.daemons.filter((known) => known.name !== name);
  }).daemons;
}

/** Whether a program runs. */
export function runs(state: State, name: string): boolean {
  return state.daemons.some((daemon) => daemon.name === name && isAlive(daemon.mark));
}

/** The wait for a program's start: it is over at once when the program ends, and then shows the log. */
export function startOf(state: State, name: string, seconds = 60): Patience {
  const hopeless = () => (runs(state, name) ? undefined : "the program has ended");
  return { what: `${name} to be ready`, seconds, log: logOf(state, name), hopeless };
}
