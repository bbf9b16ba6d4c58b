import { type Binding, bindingName, type Problem } from "./desired.ts";
import type { Sync } from "./reconcile.ts";

/** What an operator is told: what changed, what is wrong now, and whether the node's addresses can be relied on. */
export interface Report {
  ready: boolean;
  /** Why not ready, or what is doubtful although ready. */
  reasons: string[];
  bindings: Binding[];
  problems: Problem[];
}

/** What the agent knows of its own work. It only remembers and words; nothing here acts. */
export class Status {
  #bindings: Binding[] | undefined;
  #problems: Problem[] = [];
  #failure: string | undefined;
  #troubles = new Map<string, string>();

  /** Takes in a sync that is in the kernel; returns a line for each binding that leads elsewhere than before. */
  synced({ state }: Sync): string[] {
    const lines = changes(this.#bindings, state.bindings, state.problems);
    this.#bindings = state.bindings;
    this.#problems = state.problems;
    this.#failure = undefined;
    return lines;
  }

  /** Takes in a sync that did not reach the kernel; what was there before still holds. Returns whether that is news. */
  failed(message: string): boolean {
    const isNews = message !== this.#failure;
    this.#failure = message;
    return isNews;
  }

  /** Trouble with a part, as the API server, until it is told that the trouble ended. Returns whether that is news. */
  trouble(part: string, message: string | undefined): boolean {
    const isNews = message !== this.#troubles.get(part);
    if (message === undefined) this.#troubles.delete(part);
    else this.#troubles.set(part, message);
    return isNews;
  }

  /** Ready: the configuration is valid (else there is no process), and the last sync is in the kernel. */
  report(): Report {
    const waiting = this.#bindings === undefined ? ["the first sync has not reached the kernel yet"] : [];
    const failure = this.#failure === undefined ? [] : [this.#failure];
    return {
      ready: waiting.length + failure.length === 0,
      reasons: [...waiting, ...failure, ...this.#troubles.values()],
      bindings: this.#bindings ?? [],
      problems: this.#problems,
    };
  }
}

/** One line for each binding that changed: what leads where now, and where it led before. */
export function changes(before: Binding[] | undefined, after: Binding[], problems: Problem[]): string[] {
  const previous = new Map((before ?? []).map((binding) => [bindingName(binding), binding]));
  const names = new Set(after.map(bindingName));
  const changed = after.filter((binding) => !samePlace(previous.get(bindingName(binding)), binding));
  return [
    ...changed.map((binding) => line(binding, previous.get(bindingName(binding)), problems)),
    ...(before ?? [])
      .filter((binding) => !names.has(bindingName(binding)))
      .map((binding) => `${bindingName(binding)} is no longer configured`),
  ];
}

function samePlace(a: Binding | undefined, b: Binding): boolean {
  if (a === undefined) return false;
  return (
    a.target?.uid === b.target?.uid && a.target?.ip === b.target?.ip && a.target?.port === b.target?.port
  );
}

function line(binding: Binding, before: Binding | undefined, problems: Problem[]): string {
  const was = before?.target === undefined ? "" : ` (was ${place(before)})`;
  if (binding.target !== undefined) return `${bindingName(binding)} → ${place(binding)}${was}`;
  const why = problems.find(({ message }) => message.startsWith(`${bindingName(binding)} `))?.message;
  return `${why ?? `${bindingName(binding)} has no target on this node`}; refused${was}`;
}

function place({ target }: Binding): string {
  return target === undefined ? "nothing" : `${target.namespace}/${target.name} ${target.ip}:${target.port}`;
}
