import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { ClusterNode } from "../cluster/cluster.ts";

const program = fileURLToPath(new URL("../clients/load.mjs", import.meta.url));

/** Where the load goes, and every how many milliseconds. */
export interface LoadPlace {
  transport: "tcp" | "udp";
  address: string;
  port: number;
  every: number;
}

/** A connection or datagram that came to nothing. */
export interface Failure {
  at: number;
  error: string;
}

/** Answers of one pod without another's between them. Times are milliseconds since 1970. */
export interface Run {
  uid: string;
  first: number;
  last: number;
  answers: number;
}

/** What became of the load on one place, as test/clients/load.mjs says it. */
export interface LoadReport {
  count: number;
  /** No connection came about. */
  failed: Failure[];
  /** A connection came about, and no answer on it. */
  lost: Failure[];
  runs: Run[];
  /** The longest ones, the longest silence first. */
  gaps: Gap[];
}

/** Between two answers. */
export interface Gap {
  at: number;
  milliseconds: number;
  /** Of it the client's own: it did not get the processor to ask. */
  idle: number;
  from: string;
  to: string;
}

/** How long the client asked and nobody answered. */
export function silence({ milliseconds, idle }: Gap): number {
  return milliseconds - idle;
}

export interface Load<Name extends string> {
  end(): Promise<Record<Name, LoadReport>>;
}

/** Calls from a pod until it is ended, with the pod's network and this machine's Node.js. */
export async function startLoad<Name extends string>(
  node: ClusterNode,
  pod: { namespace: string; name: string },
  places: Record<Name, LoadPlace>,
): Promise<Load<Name>> {
  const argv = [process.execPath, program, JSON.stringify(places)];
  const running = node.podExec(pod.namespace, pod.name, argv, { reject: false });
  await once(running.stdout as NodeJS.ReadableStream, "data");
  return {
    async end() {
      running.kill("SIGTERM");
      const { stdout } = await running;
      return JSON.parse(String(stdout).trimEnd().split("\n").at(-1) ?? "") as Record<Name, LoadReport>;
    },
  };
}

/** What failed, in the words of a figure: how often each error came, and when for the first time. */
export function failuresText(failures: Failure[]): string {
  const byError = Map.groupBy(failures, ({ error }) => error);
  const texts = [...byError].map(
    ([error, all]) => `${all.length} ${error}, the first at ${new Date(all[0]?.at ?? 0).toISOString()}`,
  );
  return texts.join("; ");
}
