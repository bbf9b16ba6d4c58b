import { type Claim, type DesiredState, bindingName, familyOf } from "../desired.ts";
import { claimsOf, countOf, holdsObjects, type Listing, parseListing } from "../ruleset/listing.ts";
import { difference, type ElementCounts, removal, ruleset, tableName } from "../ruleset/nftables.ts";
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

/** The rules as one nftables table, `inet magic-ip-<instance>`. */
export class NftablesBackend implements Backend {
  readonly name = "nftables";
  #written: Written | undefined;
  #writing = false;
  /** When elements may be looked at again. */
  #elementsDue = 0;

  /**
   * `elementShare`: how much of the time elements may be looked at. A listing of ten thousand bindings takes two
   * seconds, of ten some milliseconds.
   */
  constructor(
    readonly run: Command = command,
    readonly elementShare = 1 / 50,
  ) {}

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
    const changes = written === undefined ? undefined : difference(written.state, state);
    if (written === undefined || changes === undefined) return await this.#replace(state);
    try {
      if (changes !== "") await this.#load(changes);
      this.#written = { ...written, state, verified: changes === "" ? written.verified : undefined };
    } catch (error) {
      // Somebody was at an element: the table as a whole puts it right.
      if (!(error instanceof CommandError) || error.fault !== "FAILED") throw error;
      await this.#replace(state);
    }
  }

  /** A write that comes in between makes the answer worthless, and then it is no reason to write again. */
  async holds(): Promise<boolean> {
    if (this.#writing) return true;
    const written = this.#written;
    if (written === undefined) return false;
    const holds =
      performance.now() < this.#elementsDue
        ? (await this.#frame(written.state.instance)) === written.frame
        : await this.#holdsAll(written);
    if (holds || this.#writing || this.#written !== written) return true;
    this.#written = undefined;
    return false;
  }

  /** With every element, which costs what they are many. */
  async #holdsAll(written: Written): Promise<boolean> {
    const began = performance.now();
    const text = (await this.#list(written.state.instance, ["--stateless"])) ?? "";
    this.#elementsDue = began + (performance.now() - began) / this.elementShare;
    if (text === written.verified) return true;
    const listing = parseListing(text);
    if (listing.frame !== written.frame || !holdsObjects(listing, objectsOf(written.state))) return false;
    written.verified = text;
    return true;
  }

  async claims(instance: string): Promise<Claim[]> {
    const others = (await this.instances()).filter((other) => other !== instance);
    const claims = await Promise.all(
      others.map(async (other) => claimsOf(other, await this.#listing(other, ["--stateless"]))),
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

  async instances(): Promise<string[]> {
    // "list tables" would read every element of every table.
    const tables = await this.run("nft", ["list", "chains", "inet"]);
    return [...tables.matchAll(/^table inet magic-ip-(\S+) \{$/gm)].map(([, instance]) => instance ?? "");
  }

  async remove(instance: string): Promise<string[] | undefined> {
    const text = await this.#list(instance, []);
    if (text === undefined) return undefined;
    this.#written = undefined;
    await this.#load(removal(instance));
    const { elements } = parseListing(text);
    return [...(elements.get("ips4") ?? []), ...(elements.get("ips6") ?? [])];
  }

  async #replace(state: DesiredState): Promise<void> {
    await this.#load(ruleset(state, await this.#counts(state)));
    this.#written = { state, frame: await this.#frame(state.instance), verified: undefined };
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
  async #list(instance: string, options: string[]): Promise<string | undefined> {
    try {
      return await this.run("nft", [...options, "--numeric", "list", "table", "inet", tableName(instance)]);
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
