import { type Answer, listen, plain } from "./listener.ts";
import { metricsText } from "./metrics.ts";
import type { BindingCount } from "../kernel.ts";
import type { Report } from "./status.ts";

/** What the endpoints tell. */
export interface HealthSource {
  version?: string;
  report(): Report;
  /** What the kernel counted. */
  counts(): Promise<BindingCount[]>;
}

/** Where the endpoints are, and who is told of them. */
export interface Endpoints {
  port: number;
  source: HealthSource;
  /** Told why the port cannot be had, each time that it is tried, and of the end of it (undefined). */
  trouble(message: string | undefined): void;
  /** An answer could not be made. */
  failed(error: unknown): void;
  /** Milliseconds before a port that could not be had is tried again. */
  retry?: number;
}

/** Milliseconds that an answer serves whoever asks: the kernel's counters cost a tool's run, a report of many bindings is long. */
const freshness = { counts: 1_000, report: 50 };

/**
 * Serves `/livez` (the process answers), `/readyz` (200 when ready, else 503; the body says why, and what each binding
 * leads to) and `/metrics` (Prometheus) on loopback only, until the signal aborts: the agent is on the host network. A
 * port that cannot be had keeps no rule from being in step; it is tried again.
 */
export async function serveHealth(endpoints: Endpoints, signal: AbortSignal): Promise<void> {
  const { port, source, trouble, failed, retry = 1_000 } = endpoints;
  const metrics = metricsOf(source);
  const readiness = reused(async () => readinessAnswer(source.report()), freshness.report);
  const answer = async (path: string): Promise<Answer> => {
    if (path === "/livez") return plain(200, "ok\n");
    if (path === "/readyz") return await readiness();
    if (path === "/metrics") return await metrics();
    return plain(404, "/livez, /readyz or /metrics\n");
  };
  const opened = () => trouble(undefined);
  const refused = (error: NodeJS.ErrnoException) => trouble(healthTrouble(port, error));
  await listen({ port, host: "127.0.0.1", retry, answer, opened, refused, failed }, signal);
}

/**
 * Serves `/metrics`, and nothing else, at this port of every address of the node, IPv4 and IPv6, until the signal aborts.
 * A port that cannot be had harms nothing and is tried again.
 */
export async function serveMetrics(endpoints: Endpoints, signal: AbortSignal): Promise<void> {
  const { port, source, trouble, failed, retry = 10_000 } = endpoints;
  const metrics = metricsOf(source);
  const answer = async (path: string): Promise<Answer> =>
    path === "/metrics" ? await metrics() : plain(404, "/metrics\n");
  const opened = () => trouble(undefined);
  const refused = (error: NodeJS.ErrnoException) => trouble(metricsTrouble(port, error));
  await listen({ port, host: undefined, retry, answer, opened, refused, failed }, signal);
}

function healthTrouble(port: number, error: NodeJS.ErrnoException): string {
  const what = `port ${port} on 127.0.0.1, for the health endpoints,`;
  if (error.code !== "EADDRINUSE") return `${what} cannot be had: ${error.message}`;
  return `${what} is in use on this node: free it (ss -ltnp names the process), or set healthPort to another`;
}

function metricsTrouble(port: number, error: NodeJS.ErrnoException): string {
  const reason =
    error.code === "EADDRINUSE"
      ? "is in use on this node: free it, or set metricsPort to another"
      : `cannot be served: ${error.message}`;
  return `port ${port} for /metrics ${reason}`;
}

/** What was made at most `milliseconds` ago, or is just being made, however long that takes. */
function reused<T>(make: () => Promise<T>, milliseconds: number): () => Promise<T> {
  let last: { made: Promise<T>; until: number } | undefined;
  return () => {
    if (last !== undefined && performance.now() < last.until) return last.made;
    const next = { made: make(), until: Number.POSITIVE_INFINITY };
    const done = () => {
      next.until = performance.now() + milliseconds;
    };
    next.made.then(done, done);
    last = next;
    return next.made;
  };
}

function readinessAnswer(report: Report): Answer {
  const body = Buffer.from(`${JSON.stringify(report, null, 2)}\n`);
  return { status: report.ready ? 200 : 503, type: "application/json", body };
}

/** The kernel's counters are left out while they cannot be read; the report says why. */
function metricsOf(source: HealthSource): () => Promise<Answer> {
  const counts = reused(() => source.counts().catch((): BindingCount[] => []), freshness.counts);
  return reused(async () => {
    const counted = await counts();
    const text = metricsText(source.report(), counted, source.version);
    return { status: 200, type: "text/plain; version=0.0.4", body: Buffer.from(text) };
  }, freshness.report);
}
