import { endianness } from "node:os";
import type { Claim, Frontend, HeldRules } from "../desired/state.ts";
import { decode } from "../ruleset/nftables/encoding.ts";
import { frontendOf, trafficSets } from "../ruleset/nftables/frontends.ts";
import { addHeld, heldSets } from "../ruleset/nftables/held.ts";
import { firstNumber, type Stamp, stampSet, tableName } from "../ruleset/nftables/table.ts";
import type { Count } from "../kernel.ts";
import type { Converse } from "./command.ts";
import { Netlink, NetlinkError } from "./netlink.ts";

/** The machine's byte order, which the kernel uses for marks. */
export const littleEndian = endianness() === "LE";

/** Digests that show whether a table has changed. */
export interface TableDigest {
  /** The digest of all but the elements of its named sets. */
  frame: string;
  /** How many rules each chain has. */
  chains: Map<string, number>;
  sets: Map<string, { count: number; digest: string }>;
}

/** Called for each element, possibly more than once, with hex digits; `end` is not empty only for an interval. */
export type TakeElement = (key: string, end: string, data: string, count: Count) => void;

/** Elements of one set that are read at most, so that elements from another program do not fill the agent's memory. */
const mostElements = 200_000;

/** The tables of family inet in the kernel. Only installations' tables are read, each by its name. */
export class Tables {
  /** Two programs, so that a change of targets does not wait for a long look. */
  readonly #looks: Netlink;
  readonly #changes: Netlink;

  constructor(start?: Converse) {
    const options = start === undefined ? {} : { start };
    this.#looks = new Netlink("rules", options);
    this.#changes = new Netlink("rules", options);
  }

  end(): void {
    this.#looks.end();
    this.#changes.end();
  }

  /** The instances that have a table, without the table names' prefix. @throws {NetlinkError} */
  async instances(): Promise<string[]> {
    return [...(await this.handles()).keys()];
  }

  /** The same with the handle of each table, which the kernel gives to no other table. @throws {NetlinkError} */
  async handles(): Promise<Map<string, string>> {
    const prefix = tableName("");
    const handles = new Map<string, string>();
    await this.#looks.request(["tables", prefix], undefined, ({ table, handle, again }) => {
      if (again === true) handles.clear();
      if (typeof table === "string") handles.set(table.slice(prefix.length), String(handle));
    });
    return handles;
  }

  /** The number of the last transaction of any program on this node. @throws {NetlinkError} */
  async generation(): Promise<unknown> {
    return (await this.#looks.request(["generation"])).generation;
  }

  /** Undefined when there is no such table. @throws {NetlinkError} */
  async digest(instance: string): Promise<TableDigest | undefined> {
    const found: TableDigest = { frame: "", chains: new Map(), sets: new Map() };
    const last = await absentIsUndefined(
      this.#looks.request(["digest", tableName(instance)], undefined, (line) => {
        if (typeof line.chain === "string") found.chains.set(line.chain, Number(line.rules));
        if (typeof line.set === "string")
          found.sets.set(line.set, { count: Number(line.count), digest: String(line.digest) });
      }),
    );
    return last === undefined ? undefined : { ...found, frame: String(last.frame) };
  }

  /** False when there is no such set. @throws {NetlinkError} */
  async elements(instance: string, set: string, take: TakeElement): Promise<boolean> {
    const words = ["elements", tableName(instance), set, String(mostElements)];
    const last = await absentIsUndefined(
      this.#looks.request(words, undefined, ({ elements }) => {
        for (const [key, end, data, packets, bytes] of (elements ?? []) as ElementLine[])
          take(key, end, data, { packets, bytes });
      }),
    );
    return last !== undefined;
  }

  /** Changes elements in one transaction, which the kernel applies as a whole or not at all. @throws {NetlinkError} */
  async change(instance: string, lines: Iterable<string>): Promise<void> {
    await this.#changes.request(["change", tableName(instance)], lines);
  }

  /** @throws {NetlinkError} */
  async remove(instance: string): Promise<void> {
    await absentIsUndefined(this.#changes.request(["remove", tableName(instance)]));
  }

  /** The frontends of an installation's table: the keys of its `traffic` sets. @throws {NetlinkError} */
  async frontends(instance: string): Promise<Frontend[]> {
    const found = new Map<string, Frontend>();
    for (const set of trafficSets)
      await this.elements(instance, set, (key, end) => {
        const frontend = frontendOf(set, key, end, littleEndian);
        if (frontend !== undefined) found.set(`${set} ${key}`, frontend);
      });
    return [...found.values()];
  }

  /** The targets and live pods in an installation's table. @throws {NetlinkError} */
  async held(instance: string): Promise<HeldRules> {
    const held: HeldRules = { targets: new Map(), live: [] };
    const frontends = await this.frontends(instance);
    for (const set of heldSets)
      await this.elements(instance, set, (key, end, data) =>
        addHeld(held, { set, key, end, data }, frontends, littleEndian),
      );
    return held;
  }

  /** The frontends of the other installations on this node. @throws {NetlinkError} */
  async claims(instance: string): Promise<Claim[]> {
    const claims: Claim[] = [];
    for (const other of await this.instances()) {
      if (other === instance) continue;
      const lease = leaseOf(await this.stamp(other));
      for (const frontend of await this.frontends(other))
        claims.push({ instance: other, lease, ...frontend });
    }
    return claims;
  }

  /** The stamp of the last write; undefined if there is none that could be ours. @throws {NetlinkError} */
  async stamp(instance: string): Promise<Stamp | undefined> {
    let stamp: Stamp | undefined;
    await this.elements(instance, stampSet, (key) => {
      if (key.length !== 16) return;
      const [time = 0, number = 0] = decode(key, "", ["number", "number"], littleEndian)
        .split(" . ")
        .map(Number);
      stamp = { time, number };
    });
    return stamp;
  }
}

/** A value that changes as long as an agent keeps the table; undefined for earlier versions, which do not change it. */
function leaseOf(stamp: Stamp | undefined): string | undefined {
  return stamp === undefined || stamp.number < firstNumber ? undefined : `${stamp.time} ${stamp.number}`;
}

/** The tables of this node, for all callers; the programs start with the first request. */
export const nodeTables = new Tables();

type ElementLine = [key: string, end: string, data: string, packets: number, bytes: number];

async function absentIsUndefined<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof NetlinkError && error.code === "ENOENT") return undefined;
    throw error;
  }
}
