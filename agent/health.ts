import { createServer, type Server } from "node:http";
import type { Report } from "./status.ts";

/** The port that the health endpoints need is taken. */
export class HealthPortError extends Error {
  override name = "HealthPortError";
  readonly code = "HEALTH_PORT_IN_USE";

  constructor(port: number, cause: unknown) {
    super(`port ${port} on 127.0.0.1 is in use on this node: set healthPort to a free one`, { cause });
  }
}

/**
 * Serves `/livez` (the process answers) and `/readyz` (200 when ready, else 503; the body says why, and what each
 * binding leads to) on loopback only: the agent is on the host network.
 * @throws {HealthPortError}
 */
export function serveHealth(port: number, report: () => Report): Promise<Server> {
  const server = createServer((request, response) => {
    const [status, body] = answer(request.url, report);
    response
      .writeHead(status, { "content-type": body.startsWith("{") ? "application/json" : "text/plain" })
      .end(body);
  });
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(error.code === "EADDRINUSE" ? new HealthPortError(port, error) : error),
    );
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

function answer(url: string | undefined, report: () => Report): [status: number, body: string] {
  if (url === "/livez") return [200, "ok\n"];
  if (url !== "/readyz") return [404, "/livez or /readyz\n"];
  const current = report();
  return [current.ready ? 200 : 503, `${JSON.stringify(current, null, 2)}\n`];
}
