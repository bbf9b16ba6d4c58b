import { type Config, parseConfig } from "../../agent/config/config.ts";
import type { Pod } from "../../agent/kubernetes/pod.ts";

/** A valid configuration of one address with an HTTP and a UDP port, changed as a test needs it. */
export function config(
  changes: { addresses?: unknown[]; instance?: string; [field: string]: unknown } = {},
): Config {
  return parseConfig(JSON.stringify({ instance: "test.echo", addresses: [address()], ...changes }), "a test");
}

export function address(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    ipAddress: "169.254.210.210",
    namespace: "monitoring",
    selector: "app=echo",
    ports: [
      { port: 80, targetPort: 8080 },
      { port: 80, targetPort: 8080, protocol: "UDP" },
    ],
    ...changes,
  };
}

/** A pod that can be a target of that address. */
export function pod(name: string, changes: Partial<Pod> = {}): Pod {
  return {
    namespace: "monitoring",
    name,
    uid: `uid-${name}`,
    version: "1",
    nodeName: "node-1",
    labels: { app: "echo" },
    created: "2026-11-01T10:00:00Z",
    terminating: false,
    phase: "Running",
    ready: true,
    hostNetwork: false,
    ips: ["10.244.1.7"],
    namedPorts: [],
    ...changes,
  };
}
