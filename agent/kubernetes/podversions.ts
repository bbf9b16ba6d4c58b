import type { Pod } from "./pod.ts";

/** Versions of one resource grow and compare as whole numbers (KEP-5504); false where one of them is no such number. */
export function isOlder(version: string, known: string): boolean {
  const isNumber = /^[1-9][0-9]*$/;
  return isNumber.test(version) && isNumber.test(known) && BigInt(version) < BigInt(known);
}

/** Deletions that are kept. A watch that is behind by more than these has failed and listed again before. */
const mostDeleted = 1_000;

/** Deleted pods that at least one watch reported; other watches may be behind and still have them. */
export class Deleted {
  /** The version of each deletion and when it was reported, by uid, the latest last. */
  #versions = new Map<string, { version: string; at: number }>();

  add(uid: string, version: string): void {
    this.#versions.set(uid, { version, at: performance.now() });
    const [oldest] = this.#versions.keys();
    if (this.#versions.size > mostDeleted && oldest !== undefined) this.#versions.delete(oldest);
  }

  has({ uid, version }: Pod): boolean {
    const deleted = this.#versions.get(uid);
    return deleted !== undefined && isOlder(version, deleted.version);
  }

  /** Forgets deletions of pods in a list that was requested later: etcd was restored to a state before the deletion. */
  listed(uids: Iterable<string>, asked: number): void {
    for (const uid of uids) {
      const deleted = this.#versions.get(uid);
      if (deleted !== undefined && deleted.at < asked) this.#versions.delete(uid);
    }
  }

  clear(): void {
    this.#versions.clear();
  }
}
