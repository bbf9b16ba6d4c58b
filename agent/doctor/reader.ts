import { setTimeout as delay } from "node:timers/promises";
import { type Command, CommandError } from "../netfilter/command.ts";

/** Milliseconds from the start of a look at the node; what was not read by then is left out, and reported. */
const budget = 5_000;

/** Characters up to which a listing is used; the longest that was seen on a node has a tenth of them. */
const longest = 1_000_000;

/** Runs tools and remembers which failed; what could not be read is empty. One for each look at the node. */
export class Reader {
  readonly unreadable: string[] = [];
  readonly #end = performance.now() + budget;

  constructor(readonly command: Command) {}

  /** Milliseconds that are left of the look. */
  get left(): number {
    return Math.max(0, this.#end - performance.now());
  }

  /** The lines of a listing, or only those that matter: of most listings there are few. */
  async lines(
    what: string,
    file: string,
    args: string[],
    matters: (line: string) => boolean = () => true,
  ): Promise<string> {
    let length = 0;
    const keep = (line: string) => {
      if (length > longest || !matters(line)) return false;
      length += line.length + 1;
      return length <= longest;
    };
    const text = await this.#run(what, file, args, keep);
    if (length <= longest) return text;
    this.unreadable.push(`${what}: it is longer than ${longest / 1_000_000} MB`);
    return "";
  }

  async #run(what: string, file: string, args: string[], keep: (line: string) => boolean): Promise<string> {
    const waiting = new AbortController();
    try {
      const late = delay(this.left, undefined, { signal: waiting.signal }).then(() => undefined);
      late.catch(() => {});
      // A tool that is late ends by its own deadline.
      const text = this.left === 0 ? undefined : await Promise.race([this.#ask(file, args, keep), late]);
      if (text === undefined)
        this.unreadable.push(`${what}: the look at this node took longer than ${budget / 1000} s`);
      return text ?? "";
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      // The table or chain may have been removed between two commands.
      if (!/no such file or directory|no chain\/target\/match by that name/i.test(error.stderr))
        this.unreadable.push(`${what}: ${error.message}`);
      return "";
    } finally {
      waiting.abort();
    }
  }

  #ask(file: string, args: string[], keep: (line: string) => boolean): Promise<string> {
    const asked = this.command(file, args, undefined, keep);
    asked.catch(() => {});
    return asked;
  }
}
