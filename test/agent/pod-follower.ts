// A program for large-pods.test.ts: follows pods as the agent does, and prints what it knows at each change.
import { readFileSync } from "node:fs";
import { connectApi } from "../../agent/kubernetes/api.ts";
import { watchPods } from "../../agent/kubernetes/pods.ts";
import { config } from "./state.ts";

const listener = {
  changed: () => print(),
  trouble: (_source: string, message?: string) => message && say(message),
};
const source = watchPods(connectApi(), config(), "node-1", listener, new AbortController().signal);

function print(): void {
  const pods = source.pods() ?? [];
  const peak = /VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  say(JSON.stringify({ pods: pods.length, last: pods.at(-1), megabytes: Math.round(Number(peak) / 1024) }));
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
