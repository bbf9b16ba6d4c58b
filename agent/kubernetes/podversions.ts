import type { Pod } from "./pod.ts";

/** Versions of one resource grow, and compare as whole numbers (KEP-5504); what does not look like one is not judged. */
export function isOlder(version: string, known: string): boolean {
  const isNumber = /^[1-9][0-9]*$/;
  return isNumber.test(version) && isNumber.test(known) && BigInt(version) < BigInt(known);
}

/** A watch that has not heard of so many deletions since is given up before. */
const mostDeleted = 1_000;

/** Pods that were deleted, as one watch heard: others that know them may be behind. */
export class Deleted {
  /** Versions by uid and when they were heard of, the latest last. */
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

  /** A list that was asked for after the deletion was heard has the last word: etcd was restored to before it. */
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
