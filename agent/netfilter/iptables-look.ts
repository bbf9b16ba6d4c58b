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

/** Which of the kernel's two machines iptables feeds: nf_tables, or the older one of its own. */
export type Flavour = "nft" | "legacy";

export const tool = { ipv4: "iptables", ipv6: "ip6tables" } as const;

/** What one family's tables hold of ours and of other installations. */
export interface Look {
  /** By the start of their chains' names. */
  installations: Map<string, Installation>;
  /** iptables' own chains that cannot be read: somebody has put a rule into them that no iptables made. */
  unread: HeldChain[];
}

/** At most so many chains that cannot be read are left out one after the other. */
const mostUnreadable = 16;

/** Rounds from iptables' own chains over a role's chain to that of one magic IP, and some that are not ours to explain. */
const mostRounds = 6;

/** A look is made at most so many times its own duration after the one before: a twentieth of the time. */
const rest = 20;

/** Milliseconds: looks that take less are no burden every 4 s. */
const light = 4_000 / rest;

/** Looks at one family's tables. With iptables-nft it costs what is ours; iptables-legacy reads whole tables. */
export class Looker {
  /** The chains of ours and of other installations that were there last: asked for at once, they save rounds. */
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
   * The jumps are looked for where a chain cannot be read; they are found in front of the rule that is in the way.
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

  /** The last look where the next is not due: see `rest`. The quickest of three counts, as a busy machine delays some. */
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

  /** All tables at once: to name one would make iptables-legacy load its module. */
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
    // One of those that were known is gone where this gives up.
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

  /** From iptables' own chains to all that they lead to; undefined when it stopped at one of those that were known. */
  async #walk(known: HeldChain[], stop?: (chain: HeldChain) => boolean): Promise<Walk | undefined> {
    const walk: Walk = { listing: "", asked: [], unread: [] };
    let next = [...baseChains, ...known];
    for (let round = 0; next.length > 0 && round < mostRounds; round++) {
      const { listing, unread } = await ask(this.run, this.family, next, round === 0 && stop ? { stop } : {});
      const ours = unread.filter(isOurs);
      if (round === 0 && stop !== undefined && ours.length > 0) return undefined;
      // One of ours that is led to is there: somebody put a strange rule into it, and it is to be written anew.
      walk.listing += listing + ours.map(({ table, name }) => `*${table}\n:${name} - [0:0]\n`).join("");
      walk.unread.push(...unread.filter((chain) => !isOurs(chain)));
      walk.asked.push(...next);
      next = unasked(walk.listing, walk.asked);
    }
    return walk;
  }

  /** Those of the jumps that are in the chains that cannot be read, as lines of a listing. */
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

  /** nft tells the names of all chains for 41 MB beside 36,000 of them; where there is none, iptables-nft-save does. */
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

/** All that was asked on the way. */
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
  /** Whether the others are of no use without this chain. */
  stop?: (chain: HeldChain) => boolean;
}

/**
 * Asks iptables-nft for chains. One that it cannot read would keep it from answering for the others, too.
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
