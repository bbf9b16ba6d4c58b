import { bindingName, type Claim, type DesiredState, familyOf, type Frontend } from "../desired.ts";
import {
  chainSizes,
  countOf,
  frontendsOf,
  holdsObjects,
  type Listing,
  parseListing,
  writeTimeOf,
} from "../ruleset/listing.ts";
import {
  difference,
  type ElementCounts,
  removal,
  ruleset,
  type Stamp,
  stampAnswer,
  stampQuestion,
  stampSet,
  tableName,
} from "../ruleset/nftables.ts";
import { digit, key, objectsOf, shapeOf } from "../ruleset/objects.ts";
import type { Backend, BindingCount } from "./backend.ts";
import { type Command, CommandError, command } from "./command.ts";

/** What is in the kernel as far as we know. */
interface Written {
  state: DesiredState;
  /** The table but for its elements, as the kernel listed it right after the last replacement. */
  frame: string;
  /** A listing that was found to hold all of it; undefined since the last change. */
  verified: string | undefined;
}

/** Milliseconds. Somebody may be at the table once a second, and a fifth of that is what a look at it may cost then. */
const soonListed = 200;

/** A faster way for small transactions; true when the kernel was seen to hold one, by the answer to the question. */
export type Transact = (transaction: string, question: string, answer: string) => Promise<boolean>;

export interface NftablesOptions {
  /** How much of the time elements may be looked at: a listing of ten thousand bindings takes two seconds, of ten some milliseconds. */
  elementShare: number;
  /** None: each transaction has an nft of its own. */
  transact: Transact | undefined;
}

/** The rules as one nftables table, `inet magic-ip-<instance>`. */
export class NftablesBackend implements Backend {
  readonly name = "nftables";
  #written: Written | undefined;
  #writing = false;
  /** When elements may be looked at again, and how long that took. */
  #elementsDue = 0;
  #elementsSeen = { at: Number.NEGATIVE_INFINITY, cost: 0 };

  readonly #options: NftablesOptions;
  #writes = 0;

  constructor(
    readonly run: Command = command,
    options: Partial<NftablesOptions> = {},
  ) {
    this.#options = { elementShare: 1 / 50, transact: undefined, ...options };
  }

  /**
   * Elements where only they differ, else the whole table; each as one transaction, which holds as a whole or not at
   * all. A replacement takes the counters over.
   */
  async write(state: DesiredState): Promise<void> {
    this.#writing = true;
    await this.#write(state).finally(() => {
      this.#writing = false;
    });
  }

  async #write(state: DesiredState): Promise<void> {
    const written = this.#written;
    this.#written = undefined;
    const stamp = this.#stamp();
    const changes = written === undefined ? undefined : difference(written.state, state, stamp);
    if (written === undefined || changes === undefined) return await this.#replace(state);
    try {
      if (changes !== "" && !(await this.#transact(changes, state, stamp))) await this.#load(changes);
      this.#written = { ...written, state, verified: changes === "" ? written.verified : undefined };
    } catch (error) {
      // Somebody was at an element: the table as a whole puts it right.
      if (!(error instanceof CommandError) || error.fault !== "FAILED") throw error;
      await this.#replace(state);
    }
  }

  async #transact(changes: string, { instance }: DesiredState, stamp: Stamp): Promise<boolean> {
    const { transact } = this.#options;
    if (transact === undefined) return false;
    return await transact(changes, stampQuestion(instance, stamp), stampAnswer(stamp));
  }

  /** A write that comes in between makes the answer worthless, and then it is no reason to write again. */
  async holds(suspect = false): Promise<boolean> {
    if (this.#writing) return true;
    const written = this.#written;
    if (written === undefined) return false;
    if (suspect) this.#hurry();
    const holds =
      performance.now() < this.#elementsDue
        ? (await this.#frame(written.state.instance)) === written.frame
        : await this.#holdsAll(written);
    if (holds || this.#writing || this.#written !== written) return true;
    this.#written = undefined;
    return false;
  }

  /** Elements are due at once where they are soon listed, and else for up to a fifth of the time. */
  #hurry(): void {
    const { at, cost } = this.#elementsSeen;
    this.#elementsDue = Math.min(this.#elementsDue, cost < soonListed ? 0 : at + cost * 5);
  }

  /** With every element, which costs what they are many. */
  async #holdsAll(written: Written): Promise<boolean> {
    const began = performance.now();
    const text = (await this.#list(written.state.instance, ["--stateless"])) ?? "";
    this.#elementsSeen = { at: began, cost: performance.now() - began };
    this.#elementsDue = began + this.#elementsSeen.cost / this.#options.elementShare;
    if (text === written.verified) return true;
    const listing = parseListing(text);
    if (listing.frame !== written.frame || !holdsObjects(listing, objectsOf(written.state))) return false;
    written.verified = text;
    return true;
  }

  async claims(instance: string): Promise<Claim[]> {
    const others = (await this.instances()).filter((other) => other !== instance);
    const claims = await Promise.all(
      others.map(async (other) =>
        (await this.frontends(other)).map((frontend) => ({ instance: other, ...frontend })),
      ),
    );
    return claims.flat();
  }

  async counts(): Promise<BindingCount[]> {
    if (this.#written === undefined) return [];
    const { instance, bindings } = this.#written.state;
    const listing = await this.#listing(instance, []);
    return bindings.map((binding) => {
      const suffix = `${shapeOf(binding)}${digit(familyOf(binding.ipAddress))}`;
      const count = (set: string) => countOf(listing, `${set}${suffix}`, key(binding));
      return {
        binding: bindingName(binding),
        traffic: count("traffic"),
        rejected: count("rejected"),
        outside: count("outside"),
      };
    });
  }

  async writeTime(instance: string): Promise<number | undefined> {
    const text = await this.#listed(["set", "inet", tableName(instance), stampSet], ["--stateless"]);
    return writeTimeOf(parseListing(text ?? ""));
  }

  async instances(): Promise<string[]> {
    // "list tables" would read every element of every table.
    const tables = await this.run("nft", ["list", "chains", "inet"]);
    return [...tables.matchAll(/^table inet magic-ip-(\S+) \{$/gm)].map(([, instance]) => instance ?? "");
  }

  async frontends(instance: string): Promise<Frontend[]> {
    return frontendsOf(await this.#listing(instance, ["--stateless"]));
  }

  async remove(instance: string): Promise<Frontend[] | undefined> {
    const text = await this.#list(instance, ["--stateless"]);
    if (text === undefined) return undefined;
    this.#written = undefined;
    await this.#load(removal(instance));
    return frontendsOf(parseListing(text));
  }

  async #replace(state: DesiredState): Promise<void> {
    const text = ruleset(state, { counts: await this.#counts(state), stamp: this.#stamp() });
    await this.#load(text);
    const frame = await this.#frame(state.instance);
    // nft may say that it works and not do so, and somebody may have been faster than the look.
    if (chainSizes(frame) !== chainSizes(text))
      throw new Error(
        `nft lists other chains of table inet ${tableName(state.instance)} than were just written`,
      );
    this.#written = { state, frame, verified: undefined };
    this.#elementsDue = 0;
  }

  /** Best effort: a table that cannot be read is replaced all the same. */
  async #counts({ instance }: DesiredState): Promise<ElementCounts> {
    return this.#listing(instance, []).then(
      ({ counts }) => counts,
      () => new Map(),
    );
  }

  /**
   * The table without elements and counters. nft 1.0.6 reads all elements from the kernel to list one table, and none of
   * them to list a family's ruleset tersely; where foreign tables are too new for it, our own is listed.
   */
  async #frame(instance: string): Promise<string> {
    const options = ["--stateless", "--numeric", "--terse"];
    const text = await this.run("nft", [...options, "list", "ruleset", "inet"]).then(
      (ruleset) => tableIn(ruleset, tableName(instance)),
      () => this.#list(instance, ["--stateless"]),
    );
    return parseListing(text ?? "").frame;
  }

  #stamp(): Stamp {
    return { time: Math.floor(Date.now() / 1000), number: ++this.#writes };
  }

  async #load(text: string): Promise<void> {
    await this.run("nft", ["-f", "-"], text);
  }

  async #listing(instance: string, options: string[]): Promise<Listing> {
    return parseListing((await this.#list(instance, options)) ?? "");
  }

  /**
   * The table as the kernel has it, undefined when there is none. Only our own table is asked for: nft 1.0.6 crashes on
   * some tables of newer tools (kubernetes/kubernetes#136786).
   */
  #list(instance: string, options: string[]): Promise<string | undefined> {
    return this.#listed(["table", "inet", tableName(instance)], options);
  }

  /** Undefined when there is no such thing. */
  async #listed(what: string[], options: string[]): Promise<string | undefined> {
    try {
      return await this.run("nft", [...options, "--numeric", "list", ...what]);
    } catch (error) {
      if (error instanceof CommandError && /no such file or directory/i.test(error.stderr)) return undefined;
      throw error;
    }
  }
}

function tableIn(ruleset: string, name: string): string {
  const start = ruleset.indexOf(`table inet ${name} {\n`);
  return start < 0 ? "" : ruleset.slice(start, ruleset.indexOf("\n}", start) + 2);
}
