import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Agent, request } from "node:https";
import type { ControlPlane } from "./control-plane.ts";

/** What an agent asked the API server. */
export interface ApiRequest {
  kind: "LIST" | "WATCH" | "OTHER";
  /** Milliseconds since 1970. */
  at: number;
  path: string;
  query: URLSearchParams;
  /** Undefined until there is an answer. */
  status?: number;
}

/** What becomes of a request in place of its answer; `forward` gives the real one. */
export type Fault = (response: ServerResponse, forward: Forward) => void;
type Forward = (change?: (line: string) => string | undefined) => void;

/**
 * Between an agent and the API server: counts what the agent asks, and stands for a network and a server that are unwell.
 * It takes plain HTTP and asks with the agent's token.
 */
export class ApiProxy {
  readonly requests: ApiRequest[] = [];
  /** The fault of a request; undefined: it is answered as the API server answers it. */
  fault: (request: ApiRequest) => Fault | undefined = () => undefined;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #servers: Server[] = [];

  constructor(readonly plane: ControlPlane) {}

  /** Listens on a Unix socket (a path) or a port of loopback. */
  async listen(place: string | number): Promise<void> {
    const server = createServer((incoming, response) => this.#take(incoming, response));
    // The agent keeps its connection for minutes.
    server.keepAliveTimeout = 0;
    server.requestTimeout = 0;
    if (typeof place === "string") server.listen(place);
    else server.listen(place, "127.0.0.1");
    await once(server, "listening");
    this.#servers.push(server);
  }

  get port(): number {
    const ports = this.#servers
      .map((server) => server.address())
      .filter((address) => typeof address === "object");
    return ports[0]?.port ?? 0;
  }

  of(kind: ApiRequest["kind"], since = 0): ApiRequest[] {
    return this.requests.filter((request) => request.kind === kind && request.at >= since);
  }

  /** Ends every connection, as a server that crashes. */
  cut(): void {
    for (const server of this.#servers) server.closeAllConnections();
  }

  close(): void {
    this.cut();
    for (const server of this.#servers) server.close();
    this.#agent.destroy();
  }

  #take(incoming: IncomingMessage, response: ServerResponse): void {
    const url = new URL(incoming.url ?? "", "http://agent");
    const asked: ApiRequest = {
      kind: kindOf(url),
      at: Date.now(),
      path: url.pathname,
      query: url.searchParams,
    };
    this.requests.push(asked);
    response.on("close", () => (asked.status ??= response.headersSent ? response.statusCode : 0));
    const forward: Forward = (change) => this.#forward(incoming, response, change);
    const fault = this.fault(asked);
    if (fault === undefined) forward();
    else fault(response, forward);
  }

  #forward(
    incoming: IncomingMessage,
    response: ServerResponse,
    change?: (line: string) => string | undefined,
  ) {
    const { host, port, ca, token } = this.plane.endpoint;
    const headers = { accept: "application/json", authorization: `Bearer ${token}` };
    const place = { host, port, ca, servername: "kubernetes", agent: this.#agent };
    const { method = "GET", url = "/" } = incoming;
    const onward = request({ ...place, method, path: url, headers: { ...headers, ...typeOf(incoming) } });
    response.on("close", () => onward.destroy());
    onward
      .on("error", () => response.destroy())
      .on("response", (answer) => {
        response.writeHead(answer.statusCode ?? 502, kept(answer.headers));
        // A watch is answered at once although nothing happens.
        response.flushHeaders();
        answer.on("error", () => response.destroy());
        if (change === undefined) answer.pipe(response);
        else void pass(answer, response, change);
      });
    incoming.pipe(onward);
  }
}

/** The server answers with an error. */
export function refuse(status: number, headers: Record<string, string> = {}): Fault {
  const body = JSON.stringify({ kind: "Status", code: status, message: `the stage says ${status}` });
  return (response) => response.writeHead(status, headers).end(body);
}

/** The connection stays, and nothing ever comes. */
export const silence: Fault = () => {};

/** A watch begins well, and then nothing ever comes: no event, no bookmark. */
export const halfOpen: Fault = (response) =>
  response.writeHead(200, { "content-type": "application/json" }).flushHeaders();

/** The answer ends in its middle. */
export const truncated: Fault = (response) => {
  response
    .writeHead(200, { "content-type": "application/json" })
    .end('{"kind":"PodList","items":[{"metadata":{"na');
};

/** The answer comes late. */
export function late(milliseconds: number): Fault {
  return (_response, forward) => setTimeout(forward, milliseconds);
}

/** Each line of the answer is changed on its way; undefined: it is lost. */
export function changed(change: (line: string) => string | undefined): Fault {
  return (_response, forward) => forward(change);
}

async function pass(
  answer: IncomingMessage,
  response: ServerResponse,
  change: (line: string) => string | undefined,
): Promise<void> {
  let rest = "";
  try {
    for await (const chunk of answer) {
      const lines = (rest + String(chunk)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) response.write(ended(change(line)));
    }
    if (rest !== "") response.write(ended(change(rest)));
    response.end();
  } catch {
    response.destroy();
  }
}

function ended(line: string | undefined): string {
  return line === undefined ? "" : `${line}\n`;
}

function kindOf(url: URL): ApiRequest["kind"] {
  if (!/\/pods$/.test(url.pathname)) return "OTHER";
  return url.searchParams.get("watch") === "true" ? "WATCH" : "LIST";
}

function typeOf({ headers }: IncomingMessage) {
  const type = headers["content-type"];
  const length = headers["content-length"];
  return { ...(type && { "content-type": type }), ...(length && { "content-length": length }) };
}

/** Length and coding of the body are this proxy's own. */
function kept(headers: IncomingMessage["headers"]) {
  const own = ["content-length", "transfer-encoding", "connection"];
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !own.includes(name)));
}
