import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../clients/call.mjs", import.meta.url));

export type Transport = "tcp" | "udp" | "icmp";

/** What one call came back with: who answered and whom it saw, or why nobody did. */
export interface Answer {
  pod?: string;
  uid?: string;
  client?: string;
  /** The port that the target was reached on. */
  port?: number;
  /** How many bytes it had, where the size of the datagram was asked for. */
  bytes?: number;
  error?: string;
  /** When it was called, milliseconds since 1970. */
  at: number;
  milliseconds: number;
}

export interface Request {
  transport: Transport;
  address: string;
  port: number;
  /** Milliseconds to wait for an answer; 2000 when not given. */
  deadline?: number;
  /** The client's own address. */
  source?: string;
  sourcePort?: number;
  /** Calls with the same name share one connection or socket. */
  keep?: string;
  /** The size of the datagram. */
  bytes?: number;
}

/** A client process that stays: starting Node.js takes a hundred times as long as a call. */
export class Caller {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  /** Each has UDP ports of its own, above those that the kernel hands out. */
  static #nextUdpPort = 61_000;
  #last = 0;

  constructor([file, args]: [string, string[]]) {
    const ports = String(Caller.#nextUdpPort);
    Caller.#nextUdpPort += 100;
    this.#process = spawn(file, [...args, process.execPath, program, "requests", ports], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    createInterface({ input: this.#process.stdout }).on("line", (line) => this.#answered(line));
  }

  call(request: Request): Promise<Answer> {
    const id = ++this.#last;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#process.stdin.write(`${JSON.stringify({ id, ...request })}\n`);
    });
  }

  stop(): void {
    this.#process.kill("SIGKILL");
  }

  #answered(line: string): void {
    const { id, ...answer } = JSON.parse(line) as Answer & { id: number };
    this.#waiting.get(id)?.(answer);
    this.#waiting.delete(id);
  }
}
