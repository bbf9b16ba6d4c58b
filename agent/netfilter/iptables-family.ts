import type { DesiredState, Family, Frontend } from "../desired/state.ts";
import { emptying, leavingOrder, likelyJumps, removal, ruleset } from "../ruleset/iptables/table.ts";
import { chainPrefix, type Jump } from "../ruleset/iptables/chains.ts";
import { layout } from "../ruleset/iptables/layout.ts";
import { type HeldChain, type Installation, nothing } from "../ruleset/iptables/listing.ts";
import { type Command, CommandError } from "./command.ts";
import { uses } from "./families.ts";
import { type Flavour, Looker, tool } from "./iptables-look.ts";
import { readSurroundings } from "./surroundings.ts";

/** What a family's tables hold of our rules, as far as we know. */
export interface Held {
  /** The rules as text, as for tables that had none of ours. */
  wanted: string;
  /** The rules as the kernel listed them right after they were written. */
  rules: string;
  jumps: Jump[];
  /** iptables' own chains that have a jump of ours and could not be read. */
  unread: HeldChain[];
}

/** Seconds to wait for iptables-legacy's lock: fewer than a command may take, so that the tool can report the wait. */
const lockPatience = "4";

/** Changes and reads one family's tables. */
export class FamilyTables {
  readonly looker: Looker;
  readonly #run: Command;

  constructor(
    readonly flavour: Flavour,
    readonly family: Family,
    run: Command,
  ) {
    this.#run = explained(run);
    this.looker = new Looker(flavour, family, this.#run);
  }

  /** What the family's tables hold afterwards; undefined when that is nothing. */
  async write(state: DesiredState, held: Held | undefined): Promise<Held | undefined> {
    const { family } = this;
    const around = await readSurroundings(this.#run, state, family);
    const { jumps } = layout(state, family, around);
    const present = await this.#present(state.instance, [...jumps, ...(held?.jumps ?? [])]);
    if (!uses(state, family)) {
      if (present.rules !== "") await this.#restore(removal(present));
      return undefined;
    }
    const wanted = ruleset(state, family, around);
    const now = { wanted, rules: present.rules, jumps, unread: present.unread };
    if (held?.wanted === wanted && held.rules === present.rules && !present.displaced) return now;
    await this.#restore(ruleset(state, family, around, present));
    const { rules, unread } = await this.#present(state.instance, jumps);
    // A tool may report success without writing, and another program may change the rules before the look.
    if (count(rules, /^[^:]/gm) !== count(wanted, /^(\[\d+:\d+\] )?-[AI] /gm))
      throw new Error(`${tool[family]}-${this.flavour} lists other rules than were just written`);
    return { wanted, rules, jumps, unread };
  }

  /** Removes the rules whose chains' names start with `prefix`. @throws {Error} when some of them stay. */
  async remove(prefix: string): Promise<Frontend[] | undefined> {
    const { looker, family } = this;
    const { installations, unread } = await looker.lookEverywhere();
    const first = installations.get(prefix);
    if (first === undefined) return undefined;
    const again =
      unread.length === 0 ? undefined : await looker.look(likelyJumps(prefix, family, first, unread));
    const present = again?.installations.get(prefix) ?? first;
    if (unread.length === 0) await this.#restore(removal(present));
    else await this.#removeWhatGoes(present);
    if (!(await looker.lookEverywhere()).installations.has(prefix)) return present.frontends;
    const why = unread.map((chain) => unreadSentence(family, chain));
    throw new Error([`chains ${prefix}-… are emptied and cannot be removed`, ...why].join(": "));
  }

  /** A chain to which a jump still leads cannot be removed. It is emptied: without rules it does nothing. */
  async #removeWhatGoes(present: Installation): Promise<void> {
    for (const table of leavingOrder) {
      if (!present.chains.some((chain) => chain.table === table)) continue;
      await this.#restore(removal(present, [table])).catch(async () => {
        await this.#restore(emptying(present, table));
      });
    }
  }

  /** What the installation has now, and those chains of the jumps that cannot be read. */
  async #present(instance: string, jumps: Jump[]): Promise<Installation & Pick<Held, "unread">> {
    const { installations, unread } = await this.looker.look(jumps);
    const concerned = unread.filter(({ table, name }) =>
      jumps.some((jump) => jump.table === table && jump.from === name),
    );
    return { ...(installations.get(chainPrefix(instance)) ?? nothing), unread: concerned };
  }

  async #restore(text: string): Promise<void> {
    const args = ["--noflush", "--counters", "-w", lockPatience];
    const file = `${tool[this.family]}-${this.flavour}-restore`;
    const { lines } = this.looker;
    // Writing nat takes half as much memory again as reading it, and nat comes last: a trial fails before any change.
    if (this.flavour === "legacy" && lines > manyLines)
      await this.#run(file, args, trial).catch((error: Error) => {
        const why = `${file} writes anew all of the ${lines} rules on this node, and may lack memory`;
        throw new Error(`${error.message}: ${why}: ${remedy}`, { cause: error });
      });
    await this.#run(file, args, text);
  }
}

/** The sentence about one of iptables' own chains that cannot be read. */
export function unreadSentence(family: Family, { table, name }: HeldChain): string {
  return `${tool[family]}-nft cannot read chain ${name} of table ${table}, so nothing tells whether the magic IPs' rules are the first there: a rule in it was made by nft. Put that rule into a table of its own, or set backend: nftables`;
}

const remedy = "set backend: nftables, which leaves others' rules alone";

/** Changes nothing, and needs as much memory as a change. */
const trial = "*nat\n:MAGICIP-00000000-TRIAL - [0:0]\n-X MAGICIP-00000000-TRIAL\nCOMMIT\n";

/** Rules of other programs from which on iptables-legacy may need more memory than there is: 1.9 KB each. */
const manyLines = 10_000;

/** Adds the remedy where a tool lacks memory: without a limit, the agent's container would be killed instead. */
function explained(run: Command): Command {
  return async (...call) => {
    try {
      return await run(...call);
    } catch (error) {
      if (!(error instanceof CommandError) || !/memory/i.test(`${error.message} ${error.stderr}`))
        throw error;
      const { fault, exitCode, stderr, message } = error;
      const why = "it reads all the rules on this node";
      throw new CommandError(fault, exitCode, stderr, `${message}: ${why}: ${remedy}`, error);
    }
  };
}

function count(text: string, line: RegExp): number {
  return text.match(line)?.length ?? 0;
}
