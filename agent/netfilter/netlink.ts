import {
  CommandError,
  type CommandFault,
  type Conversation,
  type Converse,
  converse,
  type Ending,
  remedy,
} from "./command.ts";

/** Our program that asks the kernel by netlink (agent/netlink/). Like nft, it is found on the PATH. */
export const program = "magic-ip-netlink";

/** A line of an answer. */
export type Line = Record<string, unknown>;

/** What the program does. `watch` answers no requests; it reports events. */
export type Mode = "rules" | "flows" | "watch";

/** A request that the kernel refused, or that the program did not answer. */
export class NetlinkError extends CommandError {
  /** `code`: the kernel's error, as ENOENT; undefined where the program failed. */
  constructor(
    fault: CommandFault,
    message: string,
    readonly code?: string,
  ) {
    super(fault, undefined, message, message, undefined);
  }
}

export interface NetlinkOptions {
  /** A test enters a network namespace first. */
  start: Converse;
  /** Milliseconds without a line after which the program is killed; the longest dump measured took a fiftieth. */
  patience: number;
}

/** Characters of a line, and lines of an answer: a line has a few kilobytes, a dump some ten thousand lines. */
const longest = 65_536;
const mostLines = 2_000_000;

interface Request {
  words: string[];
  payload: Iterable<string> | undefined;
  onLine: (line: Line) => void;
  settle(result: Line | NetlinkError): void;
}

/**
 * A netlink program that keeps running: a request takes one millisecond, a process of its own would take several. One
 * request is under way at a time. If it is not answered, the program is killed, and the next request starts it anew.
 */
export class Netlink {
  readonly #options: NetlinkOptions;
  readonly #waiting: Request[] = [];
  #current: { id: number; request: Request; lines: number } | undefined;
  #conversation: Conversation | undefined;
  #timer: NodeJS.Timeout | undefined;
  #id = 0;

  constructor(
    readonly mode: Mode,
    options: Partial<NetlinkOptions> = {},
  ) {
    this.#options = { start: converse, patience: 5_000, ...options };
  }

  /**
   * Sends `words`, then the lines of the payload, if any. Passes each line of the answer but the last to `onLine`, and
   * returns the last. No word may contain a blank. @throws {NetlinkError}
   */
  request(
    words: string[],
    payload?: Iterable<string>,
    onLine: (line: Line) => void = () => {},
  ): Promise<Line> {
    return new Promise((resolve, reject) => {
      const settle = (result: Line | NetlinkError) =>
        result instanceof NetlinkError ? reject(result) : resolve(result);
      this.#waiting.push({ words, payload, onLine, settle });
      this.#next();
    });
  }

  /** Sends a line to the request under way. */
  interject(line: string): void {
    if (this.#current !== undefined) this.#conversation?.say(`${line}\n`);
  }

  /** Ends the program; a later request starts it anew. */
  end(): void {
    this.#fail("CRASHED", "was ended");
  }

  #next(): void {
    if (this.#current !== undefined) return;
    const request = this.#waiting.shift();
    if (request === undefined) return;
    const id = ++this.#id;
    this.#current = { id, request, lines: 0 };
    this.#conversation ??= this.#begin();
    this.#hold();
    const { words, payload } = request;
    this.#conversation.say(`${id} ${words.join(" ")}\n`);
    if (payload !== undefined) for (const text of payloadTexts(payload)) this.#conversation.say(text);
  }

  /** Only this timer keeps the process from ending, so a program that waits for a request does not. */
  #hold(): void {
    clearTimeout(this.#timer);
    const { patience } = this.#options;
    const sentence = `did not answer within ${patience / 1000} s and was ended`;
    this.#timer = setTimeout(() => this.#fail("TIMEOUT", sentence), patience);
  }

  #begin(): Conversation {
    const lines = new Lines(
      (line) => this.#take(line),
      () => this.#fail("FAILED", "answered what is no line of JSON and was ended"),
    );
    const heard = (text: string) => {
      if (this.#conversation === conversation) lines.take(text);
    };
    const ended = (how: Ending) => {
      if (this.#conversation !== conversation) return;
      this.#conversation = undefined;
      this.#fail(faultOf(how), sentenceOf(how));
    };
    const conversation = this.#options.start(program, [this.mode], heard, ended);
    return conversation;
  }

  #take(line: Line): void {
    const current = this.#current;
    if (current === undefined || line.id !== current.id) return;
    if (++current.lines > mostLines) return this.#fail("FAILED", `answered more than ${mostLines} lines`);
    if (line.ok === true) return this.#settle(line);
    if (typeof line.error === "string") {
      const said = String(line.message ?? line.error);
      const message = `${program} ${current.request.words.join(" ")} failed: ${said}${remedy(said)}`;
      return this.#settle(new NetlinkError("FAILED", message, line.error));
    }
    this.#hold();
    current.request.onLine(line);
  }

  /** What the program still prints belongs to no request, so it is killed. */
  #fail(fault: CommandFault, how: string): void {
    const conversation = this.#conversation;
    this.#conversation = undefined;
    conversation?.end();
    if (this.#current !== undefined) this.#settle(new NetlinkError(fault, `${program} ${how}`));
  }

  #settle(result: Line | NetlinkError): void {
    const request = this.#current?.request;
    clearTimeout(this.#timer);
    this.#current = undefined;
    request?.settle(result);
    this.#next();
  }
}

/** Splits a program's output into lines of JSON, of bounded length. */
export class Lines {
  #rest = "";

  constructor(
    readonly took: (line: Line) => void,
    readonly garbled: () => void,
  ) {}

  take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const parsed = parsedLine(line);
      if (parsed === undefined) return this.garbled();
      this.took(parsed);
    }
    if (this.#rest.length > longest) this.garbled();
  }
}

function parsedLine(text: string): Line | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === "object" && parsed !== null ? (parsed as Line) : undefined;
  } catch {
    return undefined;
  }
}

/** The lines of a payload and the one that ends it, in texts of some kilobytes. */
function* payloadTexts(payload: Iterable<string>): Generator<string> {
  let text = "";
  for (const line of payload) {
    text += `${line}\n`;
    if (text.length < 16_384) continue;
    yield text;
    text = "";
  }
  yield `${text}.\n`;
}

function faultOf({ code, exitCode }: Ending): CommandFault {
  // nsenter and magic-ip-netlink's own limit end with 127 when there is no such program.
  if (code === "ENOENT" || exitCode === 127) return "MISSING";
  return exitCode === undefined ? "CRASHED" : "FAILED";
}

function sentenceOf(how: Ending): string {
  if (faultOf(how) === "MISSING")
    return "is not installed on this node's image: take the image of the release, or build agent/Dockerfile";
  return how.signal === undefined ? `ended with exit code ${how.exitCode}` : `was ended by ${how.signal}`;
}
