import { createHash } from "node:crypto";
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, markOf, type ProcessMark } from "./process.ts";
import { say } from "./progress.ts";

const LOCK_POLL_MS = 200;

/** Where things that are slow to make are kept between runs: outside the repository, one entry a version. */
export function cacheDirectory(): string {
  const { MAGIC_IP_CACHE, XDG_CACHE_HOME } = process.env;
  if (MAGIC_IP_CACHE) return MAGIC_IP_CACHE;
  return join(XDG_CACHE_HOME || join(homedir(), ".cache"), "magic-ip-address");
}

/** A short name for content: the same text gives the same cache entry. */
export function contentHash(...parts: (string | Buffer)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest("hex").slice(0, 12);
}

/**
 * The directory of a cache entry, made by `make` if it is not there yet.
 * It appears whole or not at all: made beside its place, then renamed. Processes that want the same entry wait for each other.
 */
export async function cached(entry: string, make: (directory: string) => Promise<void>): Promise<string> {
  const place = join(cacheDirectory(), entry);
  if (existsSync(place)) return place;
  return withLock(entry, async () => {
    if (existsSync(place)) return place;
    await mkdir(dirname(place), { recursive: true });
    await removeDrafts(place);
    const draft = await mkdtemp(`${place}.draft-`);
    try {
      await make(draft);
      await rename(draft, place);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
    return place;
  });
}

/** What is left of attempts that were interrupted; whoever calls this has the lock, so no other attempt is going on. */
async function removeDrafts(place: string): Promise<void> {
  const siblings = await readdir(dirname(place));
  const drafts = siblings.filter((name) => name.startsWith(`${basename(place)}.draft-`));
  await Promise.all(drafts.map((name) => rm(join(dirname(place), name), { recursive: true })));
}

/** Runs `work` while no other process of this user's runs anything under the same lock name. */
export async function withLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  const file = join(cacheDirectory(), "locks", `${name.replaceAll("/", "_")}.lock`);
  mkdirSync(dirname(file), { recursive: true });
  let announced = false;
  while (!take(file)) {
    const holder = holderOf(file);
    if (holder && !isAlive(holder)) rmSync(file, { force: true });
    else {
      if (!announced) say(`… waiting for process ${holder?.pid ?? "?"}, which is at work on ${name}`);
      announced = true;
      await sleep(LOCK_POLL_MS);
    }
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

/** A hard link appears with its content already inside, which an exclusive open and a write would not guarantee. */
function take(file: string): boolean {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(markOf(process.pid)));
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function holderOf(file: string): ProcessMark | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as ProcessMark;
  } catch {
    return undefined;
  }
}
