import {
  type HeldChain,
  type HeldJump,
  type Installation,
  parseListing,
} from "../ruleset/iptables/listing.ts";
import {
  answer,
  baseChains,
  keptLines,
  keyOf,
  namedChains,
  question,
  unasked,
  unreadable,
} from "../ruleset/iptables/question.ts";
import type { Family } from "../desired/state.ts";
import { type Command, CommandError } from "./command.ts";

/** Which part of the kernel iptables writes to: nf_tables, or the older ip_tables. */
export type Flavour = "nft" | "legacy";

export const tool = { ipv4: "iptables", ipv6: "ip6tables" } as const;

/** What one family's tables hold of ours and of other installations' rules. */
export interface Look {
  /** By the start of their chains' names. */
  installations: Map<string, Installation>;
  /** iptables' own chains that cannot be read: another program put a rule into them that iptables did not make. */
  unread: HeldChain[];
}

/** Chains that are left out, one after the other, because they cannot be read; with more the look fails. */
const mostUnreadable = 16;

/** Rounds of questions: iptables' own chains, a role's chain, the chain of one magic IP, and some in reserve. */
const mostRounds = 6;

/** After a look the next one waits for so many times its duration: looks take at most a twentieth of the time. */
const rest = 20;

/** Milliseconds: a shorter look needs no rest, because one every 4 s takes less than a twentieth of the time. */
const light = 4_000 / rest;

/** Looks at one family's tables. With iptables-nft it costs what our rules cost; iptables-legacy reads whole tables. */
export class Looker {
  /** The chains of all installations at the last look: asking for them at once saves rounds. */
  #known: HeldChain[] = [];
  #last: Look | undefined;
  #durations: number[] = [];
  #ended = Number.NEGATIVE_INFINITY;
  /** How many lines iptables-legacy-save printed last, others' rules too. */
  lines = 0;

  constructor(
    readonly flavour: Flavour,
    readonly family: Family,
    readonly run: Command,
  ) {}

  /**
   * Where a chain cannot be read, each of `jumps` is checked; it is found if it stands before the unreadable rule.
   * @throws {CommandError}
   */
  async look(jumps: HeldJump[] = []): Promise<Look> {
    const started = performance.now();
    const look = this.flavour === "legacy" ? await this.#save() : await this.#ask(jumps);
    this.#ended = performance.now();
    this.#durations = [this.#ended - started, ...this.#durations].slice(0, 3);
    this.#last = look;
    return look;
  }

  /** The last look while the next is not due: see `rest`. The quickest of three counts: a busy machine delays some. */
  get resting(): Look | undefined {
    const duration = this.#durations.length < 3 ? 0 : Math.min(...this.#durations);
    if (duration < light || performance.now() - this.#ended > rest * duration) return undefined;
    return this.#last;
  }

  /** Also finds chains that no rule leads to any more. @throws {CommandError} */
  async lookEverywhere(): Promise<Look> {
    if (this.flavour === "legacy") return await this.#save();
    const walk = await this.#walk(await this.#names());
    return await this.#found(walk ?? { listing: "", asked: [], unread: [] }, []);
  }

  /** Reads all tables at once, because naming one would make iptables-legacy load its module. */
  async #save(): Promise<Look> {
    const keep = keptLines();
    let lines = 0;
    const text = await this.run(`${tool[this.family]}-legacy-save`, ["--counters"], undefined, (line) => {
      lines++;
      return keep(line);
    });
    this.lines = lines;
    return { installations: parseListing(text), unread: [] };
  }

  async #ask(jumps: HeldJump[]): Promise<Look> {
    // The walk stops where a known chain is gone; the second walk asks for no known chains.
    const stop = this.#known.length > 0 ? isOurs : undefined;
    const walk = (await this.#walk(this.#known, stop)) ?? (await this.#walk([]));
    return await this.#found(walk ?? { listing: "", asked: [], unread: [] }, jumps);
  }

  async #found({ listing, asked, unread }: Walk, jumps: HeldJump[]): Promise<Look> {
    const base = new Set(baseChains.map(keyOf));
    this.#known = asked.filter((chain) => !base.has(keyOf(chain)));
    const confirmed = await this.#confirmed(jumps, unread);
    return { installations: parseListing(listing + confirmed), unread };
  }

  /** From iptables' own chains to all chains they lead to; undefined if it stopped because a known chain is gone. */
  async #walk(known: HeldChain[], stop?: (chain: HeldChain) => boolean): Promise<Walk | undefined> {
    const walk: Walk = { listing: "", asked: [], unread: [] };
    let next = [...baseChains, ...known];
    for (let round = 0; next.length > 0 && round < mostRounds; round++) {
      const { listing, unread } = await ask(this.run, this.family, next, round === 0 && stop ? { stop } : {});
      const ours = unread.filter(isOurs);
      if (round === 0 && stop !== undefined && ours.length > 0) return undefined;
      // A chain of ours with a jump to it exists: another program put a rule into it, and it is to be written anew.
      walk.listing += listing + ours.map(({ table, name }) => `*${table}\n:${name} - [0:0]\n`).join("");
      walk.unread.push(...unread.filter((chain) => !isOurs(chain)));
      walk.asked.push(...next);
      next = unasked(walk.listing, walk.asked);
    }
    return walk;
  }

  /** Those of the jumps that are in the unreadable chains, as lines of a listing. */
  async #confirmed(jumps: HeldJump[], unread: HeldChain[]): Promise<string> {
    const chains = new Set(unread.map(keyOf));
    let lines = "";
    const distinct = new Map(jumps.map((jump) => [`${jump.table} ${jump.from} ${jump.text}`, jump]));
    for (const { table, from, text } of distinct.values()) {
      if (!chains.has(keyOf({ table, name: from }))) continue;
      const check = `*${table}\n-C ${from} ${text}\nCOMMIT\n`;
      const isThere = await this.run(restore(this.family), ["--noflush"], check).then(
        () => true,
        (error: unknown) => {
          if (error instanceof CommandError) return false;
          throw error;
        },
      );
      if (isThere) lines += `*${table}\n[0:0] -A ${from} ${text}\n`;
    }
    return lines;
  }

  /** nft lists the names of all chains: 41 MB beside 36,000 of them. Where nft fails, iptables-nft-save does it. */
  async #names(): Promise<HeldChain[]> {
    const family = this.family === "ipv4" ? "ip" : "ip6";
    const keep = (line: string) => line.startsWith("table") || line.includes("MAGICIP-");
    const named = await this.run("nft", ["list", "chains", family], undefined, keep).catch(async () => {
      const text = await this.run(`${tool[this.family]}-nft-save`, [], undefined, keptLines());
      return [...parseListing(text).values()].flatMap(({ chains }) => chains);
    });
    const tables = new Set(baseChains.map(({ table }) => table));
    const chains = typeof named === "string" ? namedChains(named) : named;
    return chains.filter(({ table }) => tables.has(table));
  }
}

/** An answer, and all chains that were asked for. */
interface Walk extends Answered {
  asked: HeldChain[];
}

const isOurs = ({ name }: HeldChain) => name.startsWith("MAGICIP-");

/** What chains hold, as iptables-save -c prints it, and those that could not be read. */
export interface Answered {
  listing: string;
  unread: HeldChain[];
}

interface AskOptions {
  keep?: () => (line: string) => boolean;
  /** Whether the answers for the other chains are of no use without this one. */
  stop?: (chain: HeldChain) => boolean;
}

/**
 * Asks iptables-nft for chains. One that it cannot read makes it refuse all, so it is asked again without that one.
 * @throws {CommandError}
 */
export async function ask(
  run: Command,
  family: Family,
  chains: HeldChain[],
  { keep = keptLines, stop = () => false }: AskOptions = {},
): Promise<Answered> {
  const unread: HeldChain[] = [];
  for (;;) {
    const left = chains.filter((chain) => !unread.some((other) => keyOf(other) === keyOf(chain)));
    if (left.length === 0) return { listing: "", unread };
    try {
      const printed = await run(restore(family), ["--noflush"], question(left), keep());
      const listing = answer(left, printed);
      if (listing === undefined)
        throw new Error(`${restore(family)} lists other chains than it was asked for`);
      return { listing, unread };
    } catch (error) {
      const chain = error instanceof CommandError ? unreadable(error.stderr) : undefined;
      if (chain === undefined || unread.length === mostUnreadable) throw error;
      unread.push(chain);
      if (stop(chain)) return { listing: "", unread };
    }
  }
}

const restore = (family: Family) => `${tool[family]}-nft-restore`;
