import { createServer, type Server } from "node:http";
import { metricsText } from "./metrics.ts";
import type { BindingCount } from "./netfilter/backend.ts";
import type { Report } from "./status.ts";

/** The port that the health endpoints need is taken. */
export class HealthPortError extends Error {
  override name = "HealthPortError";
  readonly code = "HEALTH_PORT_IN_USE";

  constructor(port: number, cause: unknown) {
    super(`port ${port} on 127.0.0.1 is in use on this node: set healthPort to a free one`, { cause });
  }
}

/** What the endpoints tell. */
export interface HealthSource {
  report(): Report;
  /** What the kernel counted. */
  counts(): Promise<BindingCount[]>;
}

/**
 * Serves `/livez` (the process answers), `/readyz` (200 when ready, else 503; the body says why, and what each binding
 * leads to) and `/metrics` (Prometheus) on loopback only: the agent is on the host network.
 * @throws {HealthPortError}
 */
export function serveHealth(port: number, source: HealthSource): Promise<Server> {
  const server = createServer((request, response) => {
    void answer(request.url, source).then(([status, type, body]) =>
      response.writeHead(status, { "content-type": type }).end(body),
    );
  });
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(error.code === "EADDRINUSE" ? new HealthPortError(port, error) : error),
    );
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

type Answer = [status: number, type: string, body: string];

async function answer(url: string | undefined, source: HealthSource): Promise<Answer> {
  switch (url) {
    case "/livez":
      return [200, "text/plain", "ok\n"];
    case "/readyz": {
      const report = source.report();
      return [report.ready ? 200 : 503, "application/json", `${JSON.stringify(report, null, 2)}\n`];
    }
    case "/metrics":
      return [200, "text/plain; version=0.0.4", await metrics(source)];
    default:
      return [404, "text/plain", "/livez, /readyz or /metrics\n"];
  }
}

/** The kernel's counters are left out while they cannot be read; the report says why. */
async function metrics(source: HealthSource): Promise<string> {
  const counts = await source.counts().catch((): BindingCount[] => []);
  return metricsText(source.report(), counts);
}
