import { type Answer, listen, plain } from "./listener.ts";
import { metricsText } from "./metrics.ts";
import type { BindingCount } from "../kernel.ts";
import type { Report } from "./status.ts";

/** What the endpoints report. */
export interface HealthSource {
  version?: string;
  report(): Report;
  /** Reads the kernel's counters. */
  counts(): Promise<BindingCount[]>;
}

/** The port of the endpoints, and the receivers of their failures. */
export interface Endpoints {
  port: number;
  source: HealthSource;
  /** Receives the reason at each failed attempt to open the port; undefined once the port is open. */
  trouble(message: string | undefined): void;
  /** Called when an answer could not be produced. */
  failed(error: unknown): void;
  /** Milliseconds before an unavailable port is tried again. */
  retry?: number;
}

/** Milliseconds that an answer is reused: counters cost the run of a tool, and a report of many bindings is long. */
const freshness = { counts: 1_000, report: 50 };

/**
 * Serves `/livez` (the process answers), `/readyz` (200 when ready, else 503; the body lists the reasons and the
 * targets of each binding) and `/metrics` (Prometheus) until the signal aborts; on loopback only, because the agent is
 * on the host network. An unavailable port is tried again and does not affect the rules.
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
 * Serves only `/metrics`, at this port of every address of the node, IPv4 and IPv6, until the signal aborts. An
 * unavailable port is tried again and affects nothing else.
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

/** Reuses a result for `milliseconds` after it was made; callers share a result that is still being made. */
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

/** Makes the answer of /metrics, without the kernel's counters while they cannot be read. */
function metricsOf(source: HealthSource): () => Promise<Answer> {
  const counts = reused(() => source.counts().catch((): BindingCount[] => []), freshness.counts);
  return reused(async () => {
    const counted = await counts();
    const text = metricsText(source.report(), counted, source.version);
    return { status: 200, type: "text/plain; version=0.0.4", body: Buffer.from(text) };
  }, freshness.report);
}
