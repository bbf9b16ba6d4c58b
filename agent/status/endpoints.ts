import type { Logger } from "pino";
import type { Config } from "../config/config.ts";
import type { Event } from "../kubernetes/event.ts";
import { serveHealth, serveMetrics } from "./health.ts";
import type { Backend } from "../kernel.ts";
import type { Status } from "./status.ts";
import { version } from "../version.ts";

/** What the endpoints tell of, and to whom their own troubles are told. */
export interface EndpointParts {
  config: Config;
  backend: Backend;
  log: Logger;
  post(event: Event): void;
  /** The health port is this process's own, and so whatever a kubelet hears from it until the process ends. */
  holdsHealthPort?(): void;
}

/** The health endpoints, and /metrics on its port; a port that cannot be had keeps nothing else from being done. */
export async function serveEndpoints(
  parts: EndpointParts,
  status: Status,
  signal: AbortSignal,
): Promise<void> {
  const { config, backend, log } = parts;
  const source = { version, report: () => status.report(), counts: () => backend.counts() };
  const failed = (error: unknown) => log.error({ err: error }, "a health endpoint could not answer");
  const metrics = portTrouble({ status, log, part: "metrics", served: "/metrics is served now" });
  const health = portTrouble({
    ...{ status, log, part: "health", served: "the health endpoints are served now" },
    lasting: (message) => parts.post({ reason: "MagicIpHealthPort", message }),
  });
  const toldHealth = (message: string | undefined) => {
    health(message);
    if (message === undefined) parts.holdsHealthPort?.();
  };
  const { healthPort, metricsPort } = config;
  await Promise.all([
    serveHealth({ port: healthPort, source, trouble: toldHealth, failed }, signal),
    metricsPort && serveMetrics({ port: metricsPort, source, trouble: metrics, failed }, signal),
  ]);
}

/** A port that this process would listen on. */
interface PortTold {
  status: Status;
  log: Logger;
  part: string;
  /** The log's words when it is had after all. */
  served: string;
  /** Called once for a trouble that lasts longer than an agent that ends holds its port beside the next. */
  lasting?(message: string): void;
}

/** Milliseconds. */
const lastingTrouble = 10_000;

/** The addresses work without the port, so it is no reason to be unready. */
function portTrouble({ status, log, part, served, lasting }: PortTold) {
  let since: number | undefined;
  let posted = false;
  return (message: string | undefined): void => {
    if (status.trouble(part, message) && message !== undefined) log.warn(`${message}; it is tried again`);
    if (message === undefined) {
      if (since !== undefined) log.info(served);
      [since, posted] = [undefined, false];
      return;
    }
    since ??= performance.now();
    if (posted || performance.now() - since < lastingTrouble) return;
    posted = true;
    lasting?.(message);
  };
}
