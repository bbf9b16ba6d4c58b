/**
 * Which parts of a JSON value are kept: "text" keeps a string, number, boolean or null; `Fields` and `Items` keep what
 * their own shapes keep. All else is skipped byte by byte, so the kept parts bound the memory, not the object's size.
 */
export type Shape = "text" | Fields | Items;

export interface Fields {
  fields: Record<string, Shape>;
  /** Bytes of JSON that may be kept of all fields together; the rest is skipped. */
  most?: number;
}

export interface Items {
  items: Shape;
  /** Items that may be kept; the rest is skipped. */
  most: number;
  /** Bytes of JSON that may be kept of all items, counted apart from the enclosing object; the rest is skipped. */
  bytes?: number;
}

/** The input is no JSON, or is longer than allowed. */
export class JsonError extends Error {
  override name = "JsonError";
}

/** Bytes of a string or number. The longest ones that are kept: messages of the API server, tokens of the next page. */
const longestText = 8_192;

/** Bytes charged for each value besides its text: about what V8 needs for a property or an empty object. */
const charge = 48;

const newline = 0x0a;
const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a] as const;
const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d] as const;

interface Frame {
  shape: Fields | Items;
  into: Record<string, unknown> | unknown[];
  /** In an object: the field whose value comes next. */
  key: string | undefined;
  /** The bytes that could still be kept when this object or list began. */
  budget: number;
}

/** A string, number or word that is being read. */
interface Token {
  use: "key" | "kept" | "skipped";
  isString: boolean;
  parts: Buffer[];
  length: number;
}

/**
 * Reads a sequence of JSON values that arrives in chunks. The parser of a package (@streamparser/json 0.0.26) makes a
 * JavaScript value of every token before it can drop it: with the image's flags it needed 34 s of CPU and the memory of
 * a whole pod for 95 MB of pods; this reader needs 3 s and no such memory.
 */
export class JsonReader {
  readonly #stack: Frame[] = [];
  #values: unknown[] = [];
  #token: Token | undefined;
  /** Whether the next byte of a string is escaped. */
  #escaped = false;
  /** Nesting depth inside a skipped object or list; 0: outside. */
  #depth = 0;
  /** Bytes that may still be kept. */
  #budget = Number.POSITIVE_INFINITY;
  /** Bytes of the value that is being read. */
  #length = 0;

  /** `longest`: bytes of one value, kept or not, after which reading fails. */
  constructor(
    readonly shape: Shape,
    readonly longest = Number.POSITIVE_INFINITY,
  ) {}

  /** Whether a value has begun and is not complete. */
  get isOpen(): boolean {
    return this.#stack.length > 0 || this.#depth > 0 || this.#token !== undefined;
  }

  /** Reads a chunk; returns the values that it completes, undefined for one of another shape. @throws {JsonError} */
  read(chunk: Buffer): unknown[] {
    this.#values = [];
    for (let at = 0; at < chunk.length;) {
      const from = at;
      const end = this.isOpen ? -1 : endOfLine(chunk, at);
      if (end > at && this.#readLine(chunk.toString("utf8", at, end))) {
        at = end + 1;
        continue;
      }
      if (this.#token !== undefined) at = this.#readToken(this.#token, chunk, at);
      else if (this.#depth > 0) at = this.#skip(chunk, at);
      else at = this.#readByte(chunk, at);
      this.#length = this.isOpen ? this.#length + at - from : 0;
      if (this.#length > this.longest)
        throw new JsonError(`one value of the answer is longer than ${this.longest} bytes`);
    }
    return this.#values;
  }

  /** Whether the line is one value; JSON.parse then reads it in a tenth of the time that reading byte by byte takes. */
  #readLine(line: string): boolean {
    try {
      this.#values.push(pruned(JSON.parse(line), this.shape));
      return true;
    } catch {
      return false;
    }
  }

  /** Reads one byte outside of tokens, or the beginning of a token. */
  #readByte(chunk: Buffer, at: number): number {
    const byte = chunk[at];
    const frame = this.#stack.at(-1);
    if (byte === closeBrace || byte === closeBracket) this.#close(frame);
    else if (byte === openBrace || byte === openBracket) this.#open(this.#wanted(frame), byte === openBrace);
    else if (!isBetween(byte)) return this.#begin(this.#useOf(frame, byte), chunk, at);
    return at + 1;
  }

  /** The shape of the value that begins here; undefined: skip it. */
  #wanted(frame: Frame | undefined): Shape | undefined {
    if (frame === undefined) return this.shape;
    if (this.#budget <= 0) return undefined;
    if ("items" in frame.shape)
      return (frame.into as unknown[]).length < frame.shape.most ? frame.shape.items : undefined;
    const { fields } = frame.shape;
    return frame.key !== undefined && Object.hasOwn(fields, frame.key) ? fields[frame.key] : undefined;
  }

  #useOf(frame: Frame | undefined, byte: number | undefined): Token["use"] {
    const isKey = frame !== undefined && "fields" in frame.shape && frame.key === undefined;
    if (isKey && byte !== quote)
      throw new JsonError("the answer is no JSON: an object has a field without a name");
    if (isKey) return "key";
    return this.#wanted(frame) === "text" ? "kept" : "skipped";
  }

  #open(shape: Shape | undefined, isObject: boolean): void {
    if (typeof shape !== "object" || isObject !== "fields" in shape) {
      this.#depth = 1;
      return;
    }
    this.#stack.push({ shape, into: isObject ? {} : [], key: undefined, budget: this.#budget });
    this.#budget = budgetOf(shape) ?? this.#budget;
    this.#budget -= charge;
  }

  #close(frame: Frame | undefined): void {
    if (frame === undefined) throw new JsonError("the answer is no JSON: it closes what it did not open");
    this.#stack.pop();
    if (budgetOf(frame.shape) !== undefined) this.#budget = frame.budget;
    this.#put(frame.into);
  }

  #begin(use: Token["use"], chunk: Buffer, at: number): number {
    const isString = chunk[at] === quote;
    this.#token = { use, isString, parts: [], length: 0 };
    return isString ? at + 1 : at;
  }

  #readToken(token: Token, chunk: Buffer, at: number): number {
    const end = token.isString ? this.#stringEnd(chunk, at) : wordEnd(chunk, at);
    if (token.use !== "skipped") {
      token.length += end - at;
      // Copied, because a subarray of a few bytes would keep the whole chunk in memory.
      if (token.length <= longestText) token.parts.push(Buffer.from(chunk.subarray(at, end)));
    }
    if (end === chunk.length) return end;
    this.#token = undefined;
    this.#take(token);
    return token.isString ? end + 1 : end;
  }

  /** The position of the closing quote, or the end of the chunk. */
  #stringEnd(chunk: Buffer, at: number): number {
    for (let from = this.#escaped ? at + 1 : at; ;) {
      const found = chunk.indexOf(quote, from);
      const end = found === -1 ? chunk.length : found;
      let first = end;
      while (first > from && chunk[first - 1] === backslash) first--;
      this.#escaped = (end - first) % 2 === 1;
      if (found === -1 || !this.#escaped) return end;
      from = found + 1;
      this.#escaped = false;
    }
  }

  #take(token: Token): void {
    if (this.#depth > 0) return;
    const frame = this.#stack.at(-1);
    if (token.use !== "key") return this.#put(token.use === "kept" ? this.#kept(token) : undefined);
    if (frame !== undefined) frame.key = String(valueOf(token) ?? "");
  }

  #kept(token: Token): unknown {
    this.#budget -= token.length + charge;
    return valueOf(token);
  }

  /** Stores a complete value in the object or list that it belongs to. */
  #put(value: unknown): void {
    const frame = this.#stack.at(-1);
    if (frame === undefined) this.#values.push(value);
    else if (value !== undefined && Array.isArray(frame.into)) frame.into.push(value);
    else if (value !== undefined && frame.key !== undefined && !Array.isArray(frame.into))
      frame.into[frame.key] = value;
    if (frame !== undefined) frame.key = undefined;
  }

  /** Skips an object or list. Most bytes of a large object are read here, so the loop uses local variables only. */
  #skip(chunk: Buffer, start: number): number {
    let depth = this.#depth;
    for (let at = start; at < chunk.length; at++) {
      const byte = chunk[at];
      if (byte === quote) {
        const end = plainStringEnd(chunk, at + 1);
        if (end === -1) {
          this.#depth = depth;
          return this.#begin("skipped", chunk, at);
        }
        at = end;
      } else if (byte === openBrace || byte === openBracket) depth++;
      else if ((byte === closeBrace || byte === closeBracket) && --depth === 0) {
        this.#depth = 0;
        this.#put(undefined);
        return at + 1;
      }
    }
    this.#depth = depth;
    return chunk.length;
  }
}

/** White space, a comma or a colon. */
function isBetween(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09 || byte === comma || byte === colon;
}

/** The end of a short string without escapes, else -1. Most strings are such; a token for each would cost more time. */
function plainStringEnd(chunk: Buffer, start: number): number {
  const last = Math.min(start + 48, chunk.length);
  for (let at = start; at < last; at++) {
    if (chunk[at] === quote) return at;
    if (chunk[at] === backslash) return -1;
  }
  return -1;
}

/** The end of a number, true, false or null, or the end of the chunk. */
function wordEnd(chunk: Buffer, start: number): number {
  let at = start;
  while (at < chunk.length && !isBetween(chunk[at]) && chunk[at] !== closeBrace && chunk[at] !== closeBracket)
    at++;
  return at;
}

/** The value of a token; undefined when it is too long to be kept. @throws {JsonError} */
function valueOf({ parts, length, isString }: Token): unknown {
  if (length > longestText) return undefined;
  const text = Buffer.concat(parts).toString("utf8");
  if (isString && !text.includes("\\")) return text;
  try {
    return JSON.parse(isString ? `"${text}"` : text);
  } catch {
    throw new JsonError(`the answer is no JSON at ${text.slice(0, 40)}`);
  }
}

/** Bytes of a line that JSON.parse may read: enough for a usual pod's event, and the most that an object may keep. */
const longestLine = 16_384;

/** The end of the line that begins here; -1 where it is not in the chunk, or too far. */
function endOfLine(chunk: Buffer, at: number): number {
  const end = chunk.indexOf(newline, at);
  return end - at > longestLine ? -1 : end;
}

/** The parts of a value that the shape keeps. */
function pruned(value: unknown, shape: Shape): unknown {
  if (shape === "text") return isText(value) ? value : undefined;
  if ("items" in shape)
    return Array.isArray(value)
      ? value.slice(0, shape.most).map((item) => pruned(item, shape.items))
      : value === null
        ? null
        : undefined;
  if (value === null) return null;
  if (typeof value !== "object" || Array.isArray(value)) return undefined;
  const own = value as Record<string, unknown>;
  const kept = Object.keys(shape.fields).flatMap((key) => {
    const found = Object.hasOwn(own, key) ? pruned(own[key], shape.fields[key] ?? "text") : undefined;
    return found === undefined ? [] : [[key, found] as const];
  });
  return Object.fromEntries(kept);
}

function isText(value: unknown): boolean {
  if (typeof value === "string") return value.length <= longestText;
  return typeof value !== "object" || value === null;
}

/** The limit in bytes of this object or list; undefined: the limit of the enclosing one applies. */
function budgetOf(shape: Fields | Items): number | undefined {
  return "fields" in shape ? shape.most : shape.bytes;
}
