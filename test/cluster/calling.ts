import { fileURLToPath } from "node:url";
import type { Call } from "./callers.ts";
import type { ClusterNode } from "./cluster.ts";

const program = fileURLToPath(new URL("../clients/call.mjs", import.meta.url));

/** Milliseconds to wait for a datagram's answer: it is lost then, and not only late on a machine that is busy. */
const patience = "2000";

/** Calls that go on until they are ended. */
export interface Calling {
  /** Ends them and returns what each came back with. */
  end(): Promise<Call[]>;
}

/**
 * Calls from a pod every `interval` ms until ended, with the pod's network and this machine's Node.js: TCP with a new
 * connection each time, UDP from one socket.
 */
export function keepCalling(
  node: ClusterNode,
  pod: { namespace: string; name: string },
  transport: "tcp" | "udp",
  address: string,
  port: number,
  interval: number,
): Calling {
  const argv = [process.execPath, program, transport, address, String(port), String(interval), patience];
  const running = node.podExec(pod.namespace, pod.name, argv, { reject: false });
  return {
    async end() {
      running.kill("SIGTERM");
      const { stdout } = await running;
      return String(stdout)
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Call);
    },
  };
}

/** Calls once from the node itself, as a process on the host network. */
export async function callFromNode(
  node: ClusterNode,
  transport: "tcp" | "udp",
  address: string,
  port: number,
): Promise<Call> {
  const { stdout } = await node.exec([process.execPath, program, transport, address, String(port)]);
  return JSON.parse(String(stdout)) as Call;
}
