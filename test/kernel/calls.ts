import { fileURLToPath } from "node:url";
import { execa } from "execa";
import type { Answer, Transport } from "./caller.ts";

const program = fileURLToPath(new URL("../clients/call.mjs", import.meta.url));

/** Calls that go on, with new connections or from one UDP socket. */
export class Calls {
  readonly answers: Answer[] = [];
  readonly #running;
  readonly #reading: Promise<void>;

  constructor(
    [file, args]: [string, string[]],
    transport: Transport,
    address: string,
    port: number,
    interval: number,
  ) {
    const words = [process.execPath, program, transport, address, String(port), String(interval)];
    this.#running = execa(file, [...args, ...words], { stdin: "ignore", reject: false });
    this.#reading = this.#read();
  }

  /** Waits until a call, from now on, comes back like this. */
  async next(expected: (answer: Answer) => boolean): Promise<Answer> {
    const from = this.answers.length;
    for (let waited = 0; waited < 10_000; waited += 5) {
      const found = this.answers.slice(from).find(expected);
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`no such answer came within 10 s; the last: ${JSON.stringify(this.answers.at(-1))}`);
  }

  /** Ends the calls; returns what each came back with. */
  async end(): Promise<Answer[]> {
    this.#running.kill("SIGTERM");
    await this.#reading;
    return this.answers;
  }

  async #read(): Promise<void> {
    for await (const line of this.#running) this.answers.push(JSON.parse(line) as Answer);
  }
}
