import { accessSync, constants, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { cacheDirectory } from "../support/cache.ts";
import type { ProcessMark } from "../support/process.ts";
import type { ClusterOptions } from "./plan.ts";

/** A process of the cluster that outlives the command which started it. */
export interface Daemon {
  name: string;
  mark: ProcessMark;
}

/** The cluster's name. There is one, unless MAGIC_IP_CLUSTER names another to have beside it. */
export function clusterName(): string {
  return process.env.MAGIC_IP_CLUSTER || "magic-ip-address";
}

/** All that is needed to use a cluster or to remove it, also one that came up only half. */
export interface State {
  /** The cluster's name, with which the names of its namespaces and cgroups begin. */
  cluster: string;
  options: ClusterOptions;
  /** Sockets, configuration, logs and this state. */
  directory: string;
  /** What is bulky: images, containers, volumes. On a disk, for /run is often in memory. */
  data: string;
  /** Where the Kubernetes programs are. */
  programs: string;
  /** The port on the host's loopback that leads to the API server. */
  port: number;
  /** Everything came up. */
  ready: boolean;
  /** The first process of each machine, by machine name: when it dies the kernel ends all others of the machine. */
  machines: Record<string, ProcessMark>;
  daemons: Daemon[];
  /** Empty directories of the host that had to be made, as places to mount on. */
  mountPoints: string[];
}

/** Where the cluster lives: under /run, or under the cache where /run is not ours to write. */
export function runDirectory(): string {
  const name = `${clusterName()}-cluster`;
  try {
    accessSync("/run", constants.W_OK);
    return join("/run", name);
  } catch {
    return join(cacheDirectory(), `${name}-run`);
  }
}

/** Where a new cluster keeps what is bulky. */
export function dataDirectory(): string {
  return join(cacheDirectory(), `${clusterName()}-cluster`);
}

/** What is known of the cluster; undefined when there is none. */
export function readState(): State | undefined {
  try {
    return JSON.parse(readFileSync(stateFile(), "utf8")) as State;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new Error(`the cluster's state ${stateFile()} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Writes the state whole: a reader, or a crash, finds the old one or the new one. */
export function writeState(state: State): void {
  const file = stateFile();
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, `${JSON.stringify(state, undefined, 2)}\n`);
  renameSync(`${file}.new`, file);
}

/** Changes the state that is on disk now: several test processes may share a cluster. */
export function updateState(change: (state: State) => void): State {
  const state = readState();
  if (!state) throw new Error(`there is no cluster (${stateFile()} is missing): npm run cluster -- up`);
  change(state);
  writeState(state);
  return state;
}

/** Where a program's output goes. */
export function logOf(state: State, name: string): string {
  return join(state.directory, "logs", `${name}.log`);
}

function stateFile(): string {
  return join(runDirectory(), "state.json");
}
