import { createServer, type Server } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
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

/** Milliseconds before a port that could not be had is tried again. */
const comeBack = 10_000;

/** Milliseconds that an answer to the network serves: each asks the kernel, and anybody may ask. */
const freshness = 1_000;

/** Connections of the network at a time; Prometheus has one. */
const mostConnections = 32;

/**
 * Serves `/metrics`, and nothing else, at this port of every address of the node, IPv4 and IPv6, until the signal aborts.
 * A port that cannot be had harms nothing: `trouble` is told why, and of the end of it, and the port is tried again.
 */
export async function serveMetrics(
  port: number,
  source: HealthSource,
  trouble: (message: string | undefined) => void,
  signal: AbortSignal,
  retry = comeBack,
): Promise<void> {
  const latest = reused(() => metrics(source), freshness);
  while (!signal.aborted) {
    try {
      await openToNetwork(port, latest, signal, () => trouble(undefined));
    } catch (error) {
      trouble(metricsTrouble(port, error as NodeJS.ErrnoException));
      await delay(retry, undefined, { signal }).catch(() => {});
    }
  }
}

/** Resolves when the signal aborts. */
function openToNetwork(
  port: number,
  text: () => Promise<string>,
  signal: AbortSignal,
  opened: () => void,
): Promise<void> {
  const server = createServer((request, response) => {
    if (request.url !== "/metrics") response.writeHead(404).end("/metrics\n");
    else void text().then((body) => response.writeHead(200, { "content-type": metricsType }).end(body));
  });
  server.maxConnections = mostConnections;
  return new Promise((resolve, reject) => {
    const close = () => {
      server.close(() => resolve());
      server.closeAllConnections();
    };
    server.once("error", (error) => {
      signal.removeEventListener("abort", close);
      reject(error);
    });
    signal.addEventListener("abort", close, { once: true });
    // Without an address Node.js takes both families, or IPv4 where the kernel has no IPv6.
    server.listen(port, opened);
  });
}

function metricsTrouble(port: number, error: NodeJS.ErrnoException): string {
  const reason =
    error.code === "EADDRINUSE"
      ? "is in use on this node: free it, or set metricsPort to another"
      : `cannot be served: ${error.message}`;
  return `port ${port} for /metrics ${reason}`;
}

/** What was made at most `milliseconds` ago, or is just being made. */
function reused<T>(make: () => Promise<T>, milliseconds: number): () => Promise<T> {
  let last: { made: Promise<T>; at: number } | undefined;
  return () => {
    if (last === undefined || performance.now() - last.at > milliseconds)
      last = { made: make(), at: performance.now() };
    return last.made;
  };
}

const metricsType = "text/plain; version=0.0.4";

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
      return [200, metricsType, await metrics(source)];
    default:
      return [404, "text/plain", "/livez, /readyz or /metrics\n"];
  }
}

/** The kernel's counters are left out while they cannot be read; the report says why. */
async function metrics(source: HealthSource): Promise<string> {
  const counts = await source.counts().catch((): BindingCount[] => []);
  return metricsText(source.report(), counts);
}
