import { once } from "node:events";
import type { Stage } from "../../continuity/stage.ts";

const place = "/api/v1/namespaces/stage/pods";

/** Pods that the agent's selector matches, each of so many bytes, as whoever may create pods can make them. */
export async function addLargePods(stage: Stage, count: number, bytes: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    const env = [{ name: "LARGE", value: "x".repeat(bytes) }];
    await stage.plane.send("POST", place, {
      metadata: { name: `large-${number}`, labels: { app: "echo" } },
      spec: {
        nodeName: "node-1",
        containers: [{ name: "c", image: "none", env }],
        tolerations: [{ operator: "Exists" }],
        automountServiceAccountToken: false,
      },
    });
  }
}

/** Puts so many events a second of a pod that is not ready into every watch that begins from now on. */
export function floodEvents(stage: Stage, perSecond: number): void {
  const interval = 10;
  stage.proxy.fault = ({ kind }) => {
    if (kind !== "WATCH") return undefined;
    return (response, forward) => {
      let version = "";
      // Versions must not go backwards, so that the events say the last one that was heard.
      forward((line) => {
        version = /"resourceVersion":"(\d+)"/.exec(line)?.[1] ?? version;
        return line;
      });
      let waiting = false;
      const timer = setInterval(() => {
        if (waiting || version === "" || response.destroyed) return;
        const lines = noise(version).repeat((perSecond * interval) / 1_000);
        if (response.write(lines)) return;
        waiting = true;
        void once(response, "drain").then(() => (waiting = false));
      }, interval);
      response.on("close", () => clearInterval(timer));
    };
  };
}

function noise(resourceVersion: string): string {
  const object = {
    kind: "Pod",
    apiVersion: "v1",
    metadata: {
      ...{ name: "noise", namespace: "stage", uid: "noise", labels: { app: "echo" }, resourceVersion },
      creationTimestamp: "2026-11-01T10:00:00Z",
    },
    spec: { nodeName: "node-1", containers: [{ name: "c", image: "none" }] },
    status: { phase: "Running", podIP: "10.9.0.200", podIPs: [{ ip: "10.9.0.200" }], conditions: [] },
  };
  return `${JSON.stringify({ type: "MODIFIED", object })}\n`;
}
