import { accessSync } from "node:fs";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { finished } from "node:stream/promises";
// Not the package's index: that loads every API class and takes 20 MB of memory.
import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { JsonError, JsonReader, type Shape } from "./json.ts";

/** An answer of the API server that is not a success. */
export class ApiError extends Error {
  override name = "ApiError";

  constructor(
    readonly status: number,
    message: string,
    /** Seconds that the server asks to wait (`Retry-After`); 0: it does not ask. */
    readonly retryAfter: number,
    /** The reason of the `metav1.Status`, such as `NotFound`; undefined where a proxy or load balancer answers. */
    readonly reason?: string,
  ) {
    super(`the API server answers ${status}: ${message}`);
  }
}

export type Query = Record<string, string | number | boolean>;

/** Requests to the API server over one connection pool, with the credentials of the process. */
export interface Api {
  /**
   * Returns the decoded answer, or only those parts that `shape` names. Where the owners of pods or objects decide how
   * large an answer is, only a shape bounds its memory. @throws {ApiError}, {JsonError} or a network error
   */
  get<T>(path: string, query: Query, signal?: AbortSignal, shape?: Shape): Promise<T>;
  /** Creates an object. @throws {ApiError} or a network error */
  post(path: string, object: unknown, signal?: AbortSignal): Promise<void>;
  /** Changes an object by a JSON patch (RFC 6902). @throws {ApiError} or a network error */
  patch(path: string, operations: unknown[], signal?: AbortSignal): Promise<void>;
  /** Begins a watch; of its events only the shape is kept. @throws {ApiError}, {JsonError} or a network error */
  watch<T>(path: string, query: Query, until: WatchEnd, shape: Shape): Promise<AsyncGenerator<T>>;
}

/** What ends a watch, apart from the server. */
export interface WatchEnd {
  signal: AbortSignal;
  /** Milliseconds without a byte after which the watch fails with {@link Silence}. */
  silence: number;
}

/** An answer did not begin in time, or stopped for too long. */
export class Silence extends Error {
  override name = "Silence";
  readonly code = "ETIMEDOUT";

  constructor() {
    super("no answer in time");
  }
}

interface Request {
  method?: "GET" | "POST" | "PATCH";
  path: string;
  query?: Query;
  body?: string;
  signal: AbortSignal | undefined;
}

const contentTypes = { GET: undefined, POST: "application/json", PATCH: "application/json-patch+json" };

/** Milliseconds after which a request fails: without a connection, and without a byte of the answer. */
const limits = { connect: 10_000, answer: 30_000 };

/**
 * Limits in bytes. An object of the API server has at most 1.5 MB in etcd; as JSON it may have six times as many,
 * because "<" and control characters take six bytes each. `answer`: of an answer that is kept whole. `event`: of one
 * event of a watch, kept or skipped; a longer event is taken for one that never ends. `refusal`: of an error's body.
 */
const most = { answer: 4_194_304, event: 33_554_432, refusal: 16_384 };

/**
 * Connects with KUBECONFIG, else with the pod's service account, else with ~/.kube/config.
 * client-node resolves the credentials (and rereads the token file). The requests are made here, because client-node
 * opens a new TLS connection for each one and ends every watch after 30 s (kubernetes-client/javascript#2893, #3020).
 */
export function connectApi(): Api {
  const kubeConfig = loadKubeConfig();
  const cluster = kubeConfig.getCurrentCluster();
  if (!cluster)
    throw new Error("no cluster is configured: set KUBECONFIG, or run in a pod with a service account");
  // An https.Agent pools connections by certificate, so a rotated certificate opens a new connection.
  // Keep-alive: the kernel closes a connection whose other side is silent for these 15 s and 10 s more.
  const keepAlive = { keepAlive: true, keepAliveMsecs: 15_000 };
  const secure = cluster.server.startsWith("https:");
  const agent = secure ? new https.Agent(keepAlive) : new http.Agent(keepAlive);

  const open = async ({ method = "GET", path, query = {}, body, signal }: Request) => {
    const contentType = contentTypes[method];
    const headers = { accept: "application/json", ...(contentType && { "content-type": contentType }) };
    const options: https.RequestOptions = { headers, method };
    await kubeConfig.applyToHTTPSOptions(options);
    if (!cluster.proxyUrl) options.agent = agent;
    const url = new URL(cluster.server + path);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, String(value));
    const response = await requested(
      (secure ? https : http).request(url, {
        ...options,
        timeout: limits.answer,
        ...(signal && { signal }),
      }),
      body,
    );
    if (response.statusCode !== (method === "POST" ? 201 : 200)) throw await apiError(response);
    return response;
  };

  return {
    async get<T>(path: string, query: Query, signal?: AbortSignal, shape?: Shape) {
      const response = await open({ path, query, signal });
      if (shape === undefined) return JSON.parse(await text(response, most.answer)) as T;
      return await only<T>(response, shape);
    },
    async post(path: string, object: unknown, signal?: AbortSignal) {
      const body = JSON.stringify(object);
      await finished((await open({ method: "POST", path, body, signal })).resume());
    },
    async patch(path: string, operations: unknown[], signal?: AbortSignal) {
      const body = JSON.stringify(operations);
      await finished((await open({ method: "PATCH", path, body, signal })).resume());
    },
    async watch<T>(path: string, query: Query, { signal, silence }: WatchEnd, shape: Shape) {
      const response = await open({ path, query: { ...query, watch: true }, signal });
      response.socket.setTimeout(silence);
      return values<T>(response, shape, most.event);
    },
  };
}

function loadKubeConfig(): KubeConfig {
  const kubeConfig = new KubeConfig();
  const inPod =
    process.env.KUBERNETES_SERVICE_HOST && readable("/var/run/secrets/kubernetes.io/serviceaccount/token");
  if (inPod && !process.env.KUBECONFIG) kubeConfig.loadFromCluster();
  else kubeConfig.loadFromDefault();
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

/** Sends the request; resolves with the head of the answer. A timeout ends the request, or the answer once it began. */
function requested(request: http.ClientRequest, body: string | undefined): Promise<IncomingMessage> {
  request.on("socket", (socket) => {
    if (!socket.connecting) return;
    socket.setTimeout(limits.connect);
    socket.once("connect", () => socket.setTimeout(limits.answer));
  });
  return new Promise((resolve, reject) => {
    // A reader of the answer sees only errors of the answer itself, so a timeout destroys the answer once it began.
    let reading: { destroy(error: Error): unknown } = request;
    request.on("timeout", () => reading.destroy(new Silence()));
    request.on("error", reject);
    request.on("response", (response) => {
      reading = response;
      resolve(response);
    });
    request.end(body);
  });
}

/** Seconds. A proxy before the API server may ask for hours, or for a negative time. */
const longestRetryAfter = 30;

async function apiError(response: IncomingMessage): Promise<ApiError> {
  const { message, reason } = statusOf(await start(response));
  const asked = Number(response.headers["retry-after"] ?? 0);
  const retryAfter = Number.isFinite(asked) ? Math.min(Math.max(asked, 0), longestRetryAfter) : 0;
  return new ApiError(response.statusCode ?? 0, message, retryAfter, reason);
}

/** Characters of an error's message that are kept: they appear in the log and in the readiness report. */
const longestMessage = 500;

/** The API server answers errors with a `metav1.Status`; a proxy in between may answer anything. */
function statusOf(body: string): { message: string; reason?: string } {
  try {
    const { kind, message, reason } = JSON.parse(body) as Record<string, string | undefined>;
    const said = (message ?? body).slice(0, longestMessage);
    return { message: said, ...(kind === "Status" && reason && { reason }) };
  } catch {
    return { message: body.slice(0, 200) };
  }
}

/** The first bytes of an error's body; the rest is not read. */
async function start(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      if ((length += chunk.length) >= most.refusal) break;
    }
  } catch {
    // The bytes that were received suffice.
  }
  return Buffer.concat(chunks).subarray(0, most.refusal).toString("utf8");
}

async function text(response: IncomingMessage, longest: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if ((length += chunk.length) > longest) throw new JsonError(`the answer is longer than ${longest} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** The only value of an answer. The answer is read to its end, so that its connection can be reused. */
async function only<T>(response: IncomingMessage, shape: Shape): Promise<T> {
  let found: T | undefined;
  for await (const value of values<T>(response, shape)) found ??= value;
  if (found === undefined) throw new JsonError("the answer is empty");
  return found;
}

/** The values of an answer, each as soon as it is complete. */
async function* values<T>(response: IncomingMessage, shape: Shape, longest?: number): AsyncGenerator<T> {
  const reader = new JsonReader(shape, longest);
  for await (const chunk of response as AsyncIterable<Buffer>) {
    for (const value of reader.read(chunk)) {
      if (value === undefined) throw new JsonError("the answer is not the JSON object that it should be");
      yield value as T;
    }
  }
  if (reader.isOpen) throw new JsonError("the answer breaks off");
}
