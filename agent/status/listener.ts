import { STATUS_CODES } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** An answer to a request. The body is a Buffer, which connections share; a string would be copied for each. */
export interface Answer {
  status: number;
  type: string;
  body: Buffer;
}

export interface Listening {
  port: number;
  /** undefined: every address of the node, IPv4 and IPv6. */
  host: string | undefined;
  /** Milliseconds before an unavailable port is tried again. */
  retry: number;
  answer(path: string): Promise<Answer>;
  /** Called when the server listens on the port. */
  opened(): void;
  /** Called when the port is unavailable. */
  refused(error: NodeJS.ErrnoException): void;
  /** Called when an answer could not be produced. */
  failed(error: unknown): void;
}

/** Connections at a time. The kubelet and Prometheus use one each; any program may connect, so there is a limit. */
const mostConnections = 16;

/** Milliseconds from a connection's start to the end of the request's header, and from then to the connection's end. */
const patience = { header: 2_000, answer: 10_000 };

/** Bytes of a request's header: Prometheus sends 400, and 1,100 more with a service account's token. */
const longestHeader = 2_048;

/**
 * Answers GET and HEAD at this port until the signal aborts. An unavailable port is tried again; an answer that cannot
 * be produced becomes a 500.
 *
 * The agent cannot choose who connects, so it bounds the cost of each connection and of all together: one request per
 * connection, of which only the header is read; a connection beyond the limit resets the oldest one that waits for its
 * peer. A kubelet's probe sends its request at once, and is answered before that many others arrive. Node's HTTP server
 * is not used because it builds every request in one read of 64 kB: 1,000 connections with 1,000 requests each kept it
 * from any other work for more than a minute.
 */
export async function listen(listening: Listening, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await open(listening, signal);
    } catch (error) {
      listening.refused(error as NodeJS.ErrnoException);
      await delay(listening.retry, undefined, { signal }).catch(() => {});
    }
  }
}

/** Resolves when the signal aborts; rejects when the port is unavailable. */
function open(listening: Listening, signal: AbortSignal): Promise<void> {
  const connections = new Connections();
  const server: Server = createServer(
    { allowHalfOpen: true },
    (socket) => void converse(socket, connections, listening),
  );
  return new Promise((resolve, reject) => {
    const close = () => {
      server.close(() => resolve());
      connections.resetAll();
    };
    // Errors while listening are ignored: a connection that lacks a file descriptor fails only for its peer.
    server.on("error", (error) => {
      if (server.listening) return;
      signal.removeEventListener("abort", close);
      reject(error);
    });
    signal.addEventListener("abort", close, { once: true });
    // Without a host Node.js listens on both families, or on IPv4 only where the kernel has no IPv6.
    server.listen({ port: listening.port, host: listening.host }, listening.opened);
  });
}

/** Its parts do not overlap, so one pass matches it: with `\S*` behind the path, 2 kB of path took 4 ms. */
const requestLine = /^(GET|HEAD) (\/[^\s?]*)(?:\?\S*)? HTTP\/1\.[01]\r\n/;

/** Reads one request and answers it. */
async function converse(socket: Socket, connections: Connections, listening: Listening): Promise<void> {
  // An error means that the peer is gone or was reset; nothing remains to do.
  socket.on("error", () => {});
  connections.take(socket);
  const header = await headerOf(socket);
  connections.owe(socket);
  const [, method, path = ""] = requestLine.exec(header) ?? [];
  const answer = method === undefined ? malformed : await answerTo(path, listening);
  connections.paid(socket);
  socket.write(headOf(answer));
  if (method !== "HEAD") socket.write(answer.body);
  socket.destroySoon();
}

/** The header of the first request, well formed or not; empty where it is too long. */
function headerOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let header = "";
    socket.on("data", (bytes: Buffer) => {
      header += bytes.toString("latin1", 0, longestHeader + 1 - header.length);
      const end = header.indexOf("\r\n\r\n");
      if (end < 0 && header.length <= longestHeader) return;
      socket.removeAllListeners("data").pause();
      resolve(end < 0 ? "" : header.slice(0, end + 2));
    });
  });
}

async function answerTo(path: string, { answer, failed }: Listening): Promise<Answer> {
  try {
    return await answer(path);
  } catch (error) {
    failed(error);
    return plain(500, "the agent cannot say; see its log\n");
  }
}

/** An answer for people. */
export function plain(status: number, text: string): Answer {
  return { status, type: "text/plain", body: Buffer.from(text) };
}

const malformed = plain(400, `a GET of HTTP/1.1 with a header of at most ${longestHeader} bytes\n`);

function headOf({ status, type, body }: Answer): string {
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `content-type: ${type}`,
    `content-length: ${body.length}`,
    "connection: close",
    "\r\n",
  ].join("\r\n");
}

interface Connection {
  /** Whether the agent must answer now; else the connection waits for its peer. */
  owed: boolean;
  timer: NodeJS.Timeout;
}

/** The connections of a server, the oldest first. */
class Connections {
  readonly #open = new Map<Socket, Connection>();

  take(socket: Socket): void {
    if (this.#open.size >= mostConnections) this.#reset(this.#oldest());
    this.#open.set(socket, { owed: false, timer: setTimeout(() => this.#reset(socket), patience.header) });
    socket.once("close", () => this.#forget(socket));
  }

  /** The request has arrived; the agent must answer. */
  owe(socket: Socket): void {
    const connection = this.#open.get(socket);
    if (connection === undefined) return;
    connection.owed = true;
    clearTimeout(connection.timer);
    connection.timer = setTimeout(() => this.#reset(socket), patience.answer);
  }

  /** The answer is ready; the peer must read it. */
  paid(socket: Socket): void {
    const connection = this.#open.get(socket);
    if (connection !== undefined) connection.owed = false;
  }

  resetAll(): void {
    for (const socket of this.#open.keys()) this.#reset(socket);
  }

  #oldest(): Socket | undefined {
    const all = [...this.#open];
    return (all.find(([, { owed }]) => !owed) ?? all[0])?.[0];
  }

  /** Closes with a TCP reset, because a peer that does not read or close would hold kernel memory. */
  #reset(socket: Socket | undefined): void {
    if (socket === undefined) return;
    this.#forget(socket);
    socket.resetAndDestroy();
  }

  #forget(socket: Socket): void {
    clearTimeout(this.#open.get(socket)?.timer);
    this.#open.delete(socket);
  }
}
