import {
  bindingName,
  type Claim,
  type DesiredState,
  type Family,
  familyOf,
  type Frontend,
  type HeldRules,
} from "../desired/state.ts";
import { chainPrefix, ownerName } from "../ruleset/iptables/chains.ts";
import { addHeld } from "../ruleset/iptables/held.ts";
import { strangeUplinks } from "../ruleset/iptables/layout.ts";
import { countKey, type Installation, nothing } from "../ruleset/iptables/listing.ts";
import { families } from "../ruleset/nftables/objects.ts";
import type { Backend, BindingCount } from "../kernel.ts";
import { type Command, CommandError, command } from "./command.ts";
import { any, each, title, uses } from "./families.ts";
import { FamilyTables, type Held, unreadSentence } from "./iptables-family.ts";
import type { Flavour, Look } from "./iptables-look.ts";

interface Written {
  state: DesiredState;
  held: Map<Family, Held>;
  /** Why a family's rules could not be written. */
  failures: Map<Family, Error>;
}

/** The rules as chains of our own in iptables' tables mangle, filter and nat, each family's in one restore. */
export class IptablesBackend implements Backend {
  readonly name: string;
  readonly #tables: Record<Family, FamilyTables>;
  #written: Written | undefined;
  #writing = false;
  /** The looks made for `claims`, kept until `holds` has used them: one look answers both. */
  #looks = new Map<Family, Look>();
  /** What each family's last look found. */
  readonly #seen = new Map<Family, Look>();

  constructor(
    readonly flavour: Flavour,
    readonly run: Command = command,
  ) {
    this.name = `iptables-${flavour}`;
    const tables = (family: Family) => new FamilyTables(flavour, family, run);
    this.#tables = { ipv4: tables("ipv4"), ipv6: tables("ipv6") };
  }

  get shortfall(): string | undefined {
    if (this.#written === undefined) return undefined;
    const { state, held, failures } = this.#written;
    const failed = families.filter((family) => failures.has(family) && uses(state, family));
    const sentences = failed.map((family) => {
      const others = [...held.keys()].map((other) => title[other]).join();
      return `the rules of ${title[family]} could not be brought up to date, those of ${others} are: ${failures.get(family)?.message}`;
    });
    const unread = [...held].flatMap(([family, { unread }]) =>
      unread.map((chain) => unreadSentence(family, chain)),
    );
    return [...sentences, ...unread].join("; ") || undefined;
  }

  get warning(): string | undefined {
    const names = this.#written === undefined ? [] : strangeUplinks(this.#written.state);
    if (names.length === 0) return undefined;
    const list = names.map((name) => JSON.stringify(name)).join(", ");
    return `packets from outside are not kept from the magic IPs on ${list}: iptables takes letters of ASCII, digits and "_.@:-" in an interface's name`;
  }

  /** Writes all rules, unless the kernel holds them already. A failure of one family does not stop the other. */
  async write(state: DesiredState): Promise<void> {
    this.#writing = true;
    this.#looks.clear();
    await this.#write(state).finally(() => {
      this.#writing = false;
    });
  }

  async #write(state: DesiredState): Promise<void> {
    const before = this.#written;
    this.#written = undefined;
    const held = new Map<Family, Held>();
    const [, failures] = await each(async (family) => {
      const last = before?.held.get(family);
      const isClean = before !== undefined && last === undefined && !before.failures.has(family);
      if (!uses(state, family) && isClean) return;
      const now = await this.#tables[family].write(state, last);
      if (now !== undefined) held.set(family, now);
    });
    const used = families.filter((family) => uses(state, family) || before?.held.has(family));
    const failed = used.flatMap((family) => failures.get(family) ?? []);
    const [first] = failed.length > 0 && failed.length === used.length ? failed : [];
    if (first !== undefined) throw first;
    this.#written = { state, held, failures };
  }

  /** A write meanwhile makes the answer worthless; it is then true, so that it causes no further write. */
  async holds(suspect = false): Promise<boolean> {
    if (this.#writing) return true;
    const written = this.#written;
    if (written === undefined || this.shortfall !== undefined) return false;
    const [, failures] = await each(async (family) => {
      const held = written.held.get(family);
      if (held === undefined || (!suspect && this.#tables[family].looker.resting !== undefined)) return;
      const { installations } =
        this.#looks.get(family) ?? (await this.#tables[family].looker.look(held.jumps));
      this.#looks.delete(family);
      if (this.#writing || this.#written !== written) return;
      const now = installations.get(chainPrefix(written.state.instance)) ?? nothing;
      if (now.displaced || now.rules !== held.rules) written.held.delete(family);
    });
    if (this.#writing || this.#written !== written) return true;
    for (const failure of failures.values()) throw failure;
    return families.every((family) => !uses(written.state, family) || written.held.has(family));
  }

  async claims(instance: string): Promise<Claim[]> {
    const others = (await this.#installations()).filter((other) => other.instance !== ownerName(instance));
    return others.flatMap(({ instance: other, frontends }) =>
      other === undefined ? [] : frontends.map((frontend) => ({ instance: other, ...frontend })),
    );
  }

  async counts(): Promise<BindingCount[]> {
    if (this.#written === undefined) return [];
    const { state, held } = this.#written;
    const listed = new Map<Family, Installation>();
    for (const [family, { jumps }] of held) {
      const looker = this.#tables[family].looker;
      const { installations } = looker.resting ?? (await looker.look(jumps));
      listed.set(family, installations.get(chainPrefix(state.instance)) ?? nothing);
    }
    return state.bindings.map((binding) => {
      const name = bindingName(binding);
      const counts = listed.get(familyOf(binding.ipAddress))?.counts;
      const of = (role: string) => counts?.get(countKey(role, name)) ?? { packets: 0, bytes: 0 };
      return {
        binding: name,
        traffic: of("COUNT"),
        rejected: sum(of("REFUSE"), of("LIVE")),
        outside: of("GUARD"),
      };
    });
  }

  /** iptables' rules have no place for the time. */
  async writeTime(): Promise<undefined> {
    return undefined;
  }

  /** An installation whose rules with its name are gone is listed by the start of its chains' names. */
  async instances(): Promise<string[]> {
    const [looks] = await this.#everywhere();
    const names = new Map<string, string>();
    for (const { installations } of looks)
      for (const [prefix, { instance }] of installations)
        names.set(prefix, instance ?? names.get(prefix) ?? prefix);
    return [...new Set(names.values())].toSorted();
  }

  async frontends(instance: string): Promise<Frontend[]> {
    const [looks] = await this.#everywhere();
    return looks.flatMap(({ installations }) => installations.get(prefixOf(instance))?.frontends ?? []);
  }

  async held(instance: string): Promise<HeldRules> {
    const held: HeldRules = { targets: new Map(), live: [] };
    const [looks] = await this.#everywhere();
    for (const { installations } of looks) addHeld(held, installations.get(prefixOf(instance))?.rules ?? "");
    return held;
  }

  async remove(instance: string): Promise<Frontend[] | undefined> {
    if (this.#written?.state.instance === instance) this.#written = undefined;
    const [gone, failures] = await each((family) => this.#tables[family].remove(prefixOf(instance)));
    for (const [family, failure] of failures) {
      if (failures.size === families.length) throw failure;
      if (await this.#lacks(family, failure)) continue;
      throw new Error(`the rules of ${title[family]} may stay: ${failure.message}`, { cause: failure });
    }
    return gone.every((frontends) => frontends === undefined) ? undefined : gone.flatMap((all) => all ?? []);
  }

  /** Whether a family cannot have rules of ours because its tool is not installed, or the kernel does not know it. */
  async #lacks(family: Family, failure: Error): Promise<boolean> {
    if (failure instanceof CommandError && failure.fault === "MISSING") return true;
    if (family === "ipv4") return false;
    return await this.run("cat", ["/proc/net/if_inet6"]).then(
      () => false,
      () => true,
    );
  }

  /** The rules of all installations. For a family that cannot be read now, those of its last look are used. */
  async #installations(): Promise<Installation[]> {
    const written = this.#written;
    const [looks, failures] = await any(async (family) => {
      const looker = this.#tables[family].looker;
      if (looker.resting !== undefined) return looker.resting;
      const look = await looker.look(written?.held.get(family)?.jumps);
      if (!this.#writing && this.#written === written) this.#looks.set(family, look);
      this.#seen.set(family, look);
      return look;
    });
    const seen = [...failures.keys()].flatMap((family) => this.#seen.get(family) ?? []);
    return [...looks, ...seen].flatMap(({ installations }) => [...installations.values()]);
  }

  #everywhere(): Promise<[Look[], Map<Family, Error>]> {
    return any((family) => this.#tables[family].looker.lookEverywhere());
  }
}

/** An installation whose rules with its name are gone is called by the start of its chains' names. */
function prefixOf(instance: string): string {
  return /^MAGICIP-[0-9a-f]{8}$/.test(instance) ? instance : chainPrefix(instance);
}

function sum(a: BindingCount["traffic"], b: BindingCount["traffic"]): BindingCount["traffic"] {
  return { packets: a.packets + b.packets, bytes: a.bytes + b.bytes };
}
