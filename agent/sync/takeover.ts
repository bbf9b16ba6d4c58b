import type { Logger } from "pino";
import type { Config } from "../config/config.ts";
import type { HeldRules } from "../desired/state.ts";
import type { Backend } from "../kernel.ts";
import { isForbidden } from "../netfilter/choice.ts";

/** What is needed to continue from the rules of the previous agent, which may have used another backend. */
export interface TakeoverParts {
  config: Config;
  backend: Backend;
  /** Every backend that is present on this node. */
  everyBackend(): Promise<Backend[]>;
  log: Logger;
}

/** Where the existing rules lead, whichever backend the previous agent used. @throws {CommandError} */
export async function heldRules({ backend, everyBackend, config, log }: TakeoverParts): Promise<HeldRules> {
  const own = await backend.held(config.instance);
  if (own.targets.size > 0) return own;
  for (const other of (await everyBackend()).filter(({ name }) => name !== backend.name)) {
    const theirs = await other.held(config.instance).catch((error: Error) => {
      log.warn(`where the rules lead that ${other.name} may hold cannot be read: ${error.message}`);
      return own;
    });
    if (theirs.targets.size > 0) return theirs;
  }
  return own;
}

/** Removes the rules of other backends after the first write, so that traffic goes on; repeated until it succeeds. */
export function takeOver(parts: TakeoverParts): () => void {
  let begun = false;
  return () => {
    if (begun) return;
    begun = true;
    removeOthers(parts).catch(() => {
      begun = false;
    });
  };
}

async function removeOthers({ backend, everyBackend, config, log }: TakeoverParts): Promise<void> {
  const others = (await everyBackend()).filter(({ name }) => name !== backend.name);
  for (const other of others) {
    const removed = await other.remove(config.instance).catch((error: Error) => {
      // The agent cannot have written where it may not read; `leave` warns of it when the installation is removed.
      if (isForbidden(error)) return undefined;
      log.warn(
        `the rules that ${other.name} may hold for this installation stay until the next change: ${error.message}`,
      );
      throw error;
    });
    if (removed !== undefined)
      log.info(`the rules that ${other.name} held for this installation are removed`);
  }
}
