import { accessSync } from "node:fs";
import { KubeConfig } from "@kubernetes/client-node";
import { Agent, type Dispatcher, request } from "undici";

/** The API server's answer where it is not a success. */
export class ApiError extends Error {
  override name = "ApiError";

  constructor(
    readonly status: number,
    message: string,
    /** Seconds that the server asks to wait (`Retry-After`), 0 when it does not. */
    readonly retryAfter: number,
  ) {
    super(`the API server answers ${status}: ${message}`);
  }
}

export type Query = Record<string, string | number | boolean>;

/** GET requests to the API server over one connection pool, with the credentials of the process. */
export interface Api {
  /** The decoded answer. @throws {ApiError} or a network error */
  get<T>(path: string, query: Query, signal?: AbortSignal): Promise<T>;
  /** The lines of a watch, each a decoded event, until the server ends it. @throws {ApiError} or a network error */
  watch<T>(path: string, query: Query, signal: AbortSignal): AsyncGenerator<T>;
}

/** Milliseconds without a byte after which a watch is given up; bookmarks come every minute (KEP-956). */
const silence = 100_000;

/**
 * Connects as KUBECONFIG says, else as the pod's service account, else as ~/.kube/config.
 * client-node resolves the credentials (and rereads the token file); the requests are made here, because it opens a
 * new TLS connection for each of them and ends every watch after 30 s (kubernetes-client/javascript#2893, #3020).
 */
export function connectApi(): Api {
  const kubeConfig = loadKubeConfig();
  const server = kubeConfig.getCurrentCluster()?.server;
  if (server === undefined)
    throw new Error("no cluster is configured: set KUBECONFIG, or run in a pod with a service account");
  const pool = new Pool();

  const open = async (path: string, query: Query, signal: AbortSignal | undefined, bodyTimeout: number) => {
    const { headers, tls } = await credentials(kubeConfig);
    const url = new URL(server + path);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, String(value));
    const options = { headers, dispatcher: pool.get(tls), headersTimeout: 30_000, bodyTimeout };
    const response = await request(url, signal === undefined ? options : { ...options, signal });
    if (response.statusCode !== 200) throw await apiError(response);
    return response.body;
  };

  return {
    async get<T>(path: string, query: Query, signal?: AbortSignal) {
      const body = await open(path, query, signal, 30_000);
      return (await body.json()) as T;
    },
    async *watch<T>(path: string, query: Query, signal: AbortSignal) {
      const body = await open(path, { ...query, watch: true }, signal, silence);
      for await (const line of lines(body)) yield JSON.parse(line) as T;
    },
  };
}

function loadKubeConfig(): KubeConfig {
  const kubeConfig = new KubeConfig();
  if (
    !process.env.KUBECONFIG &&
    process.env.KUBERNETES_SERVICE_HOST &&
    readable("/var/run/secrets/kubernetes.io/serviceaccount/token")
  ) {
    kubeConfig.loadFromCluster();
  } else {
    kubeConfig.loadFromDefault();
  }
  return kubeConfig;
}

function readable(file: string): boolean {
  try {
    accessSync(file);
    return true;
  } catch {
    return false;
  }
}

/** What of Node's TLS options a kubeconfig can set. */
interface Tls {
  ca?: string | Buffer | undefined;
  cert?: string | Buffer | undefined;
  key?: string | Buffer | undefined;
  rejectUnauthorized?: boolean | undefined;
  servername?: string | undefined;
}

async function credentials(kubeConfig: KubeConfig): Promise<{ headers: Record<string, string>; tls: Tls }> {
  const options: Parameters<KubeConfig["applyToHTTPSOptions"]>[0] = { headers: {} };
  await kubeConfig.applyToHTTPSOptions(options);
  const { ca, cert, key, rejectUnauthorized, servername } = options as Tls;
  const headers = { ...(options.headers as Record<string, string>), accept: "application/json" };
  return { headers, tls: defined({ ca, cert, key, rejectUnauthorized, servername }) };
}

/** One pool of connections for as long as the certificates stay the same; a rotated CA or key opens another. */
class Pool {
  #agent: Agent | undefined;
  #identity = "";

  get(tls: Tls): Agent {
    const identity = JSON.stringify(tls);
    if (this.#agent === undefined || identity !== this.#identity) {
      void this.#agent?.close().catch(() => undefined);
      this.#agent = new Agent({
        connect: { ...tls, timeout: 10_000, keepAlive: true, keepAliveInitialDelay: 30_000 },
      });
      this.#identity = identity;
    }
    return this.#agent;
  }
}

/** TLS options are told apart by absence, not by undefined. */
function defined(tls: Tls): Tls {
  return Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
}

async function apiError(response: Dispatcher.ResponseData): Promise<ApiError> {
  const text = await response.body.text().catch(() => "");
  const retryAfter = Number(response.headers["retry-after"] ?? 0);
  return new ApiError(response.statusCode, statusMessage(text), Number.isFinite(retryAfter) ? retryAfter : 0);
}

/** Kubernetes answers errors with a `metav1.Status`; a proxy in between may answer anything. */
function statusMessage(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text.slice(0, 200);
  } catch {
    return text.slice(0, 200);
  }
}

async function* lines(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    yield* parts.filter((line) => line !== "");
  }
}
