import { type Binding, bindingName, type Problem, type Sync, type Target } from "../desired/state.ts";
import type { Finding } from "../finding.ts";

/** The report for an operator: counts of changes, what is wrong now, and whether the node's addresses work. */
export interface Report {
  ready: boolean;
  /** Reasons why the node is not ready, and doubts that do not make it unready. */
  reasons: string[];
  /** The backend that writes the rules. */
  backend: string;
  /** How often foreign changes of the rules were undone. */
  repairs: number;
  /** How often the interfaces that lead outside have changed. */
  uplinkChanges: number;
  /** How often the rules were written, and the seconds of all these writes together. */
  writes: { count: number; seconds: number };
  /** How often the rules could not be written or looked at. */
  failures: number;
  /** Parts that fail without making the node unready, such as the API server: the number of each kind. */
  troubles: Record<string, number>;
  /** Seconds since the API server last answered, for the watch with the longest silence; undefined: not known. */
  silence: number | undefined;
  /** The findings of the last examination of the node. */
  findings: Pick<Finding, "code" | "severity">[];
  bindings: Binding[];
  problems: Problem[];
}

/** The agent's knowledge of its own work. It only stores and words it; it starts no action. */
export class Status {
  #bindings: Binding[] | undefined;
  #problems: Problem[] = [];
  #repairs = 0;
  #uplinkChanges = 0;
  #writes = { count: 0, seconds: 0 };
  #failure: string | undefined;
  #blockers: string[] = [];
  #troubles = new Map<string, { message: string; kind: string }>();
  #failures = 0;
  #findings: Report["findings"] = [];
  #heard: () => Map<string, number> = () => new Map();

  /** `rulesSince`: when the rules that the first sync found were last changed. */
  constructor(
    readonly backend = "nftables",
    readonly rulesSince?: Date,
  ) {}

  /** Records a sync that reached the kernel after `seconds`; returns a line for each binding whose targets changed. */
  synced({ state, outcome }: Sync, seconds = 0): string[] {
    const lines = changes(this.#bindings, state.bindings, state.problems);
    this.#bindings = state.bindings;
    this.#problems = state.problems;
    this.#failure = undefined;
    if (outcome === "repaired") this.#repairs++;
    if (outcome !== "same") {
      const { count, seconds: before } = this.#writes;
      this.#writes = { count: count + 1, seconds: before + seconds };
    }
    return lines;
  }

  /** Records a failed sync or look; the last rules still hold. Returns whether the message is new. */
  failed(message: string): boolean {
    this.#failures++;
    return this.fails(message);
  }

  /** Records that a failure goes on, without counting it. Returns whether the message is new. */
  fails(message: string): boolean {
    const isNews = message !== this.#failure;
    this.#failure = message;
    return isNews;
  }

  /** Counts a change of the interfaces that lead outside. */
  uplinksChanged(): void {
    this.#uplinkChanges++;
  }

  /** Sets the function that returns when the API server last answered, for each source, by `performance.now()`. */
  hears(heard: () => Map<string, number>): void {
    this.#heard = heard;
  }

  /** Records the findings of an examination of the node. */
  found(findings: Finding[]): void {
    this.#findings = findings.map(({ code, severity }) => ({ code, severity }));
  }

  /** Records why the addresses cannot work on this node, independently of the rules. */
  blocked(reasons: string[]): void {
    this.#blockers = reasons;
  }

  /**
   * Records the failure of a part, such as the API server; undefined: the failure ended. Returns whether the message is
   * new. Parts of one kind are counted together.
   */
  trouble(part: string, message: string | undefined, kind = part): boolean {
    const isNews = message !== this.#troubles.get(part)?.message;
    if (message === undefined) this.#troubles.delete(part);
    else this.#troubles.set(part, { message, kind });
    return isNews;
  }

  /**
   * Ready: the configuration is valid (else there is no process), the last sync reached the kernel, no other
   * installation has one of the addresses, and nothing on the node keeps packets from them. An address whose pods are
   * unknown counts as ready while the rules of the previous agent serve it.
   */
  report(): Report {
    const meanwhile = this.rulesSince && `; the rules of ${this.rulesSince.toISOString()} hold meanwhile`;
    const first = `the first sync has not reached the kernel yet${meanwhile ?? ""}`;
    const waiting = this.#bindings === undefined ? [first] : [];
    const failure = this.#failure === undefined ? [] : [this.#failure];
    const conflicts = this.#problems.filter(({ code }) => code === "CONFLICT").map(({ message }) => message);
    const { unserved, served } = this.#unknown();
    const against = [...waiting, ...failure, ...conflicts, ...unserved, ...this.#blockers];
    return {
      ready: against.length === 0,
      reasons: [...against, ...served, ...[...this.#troubles.values()].map(({ message }) => message)],
      backend: this.backend,
      repairs: this.#repairs,
      uplinkChanges: this.#uplinkChanges,
      writes: this.#writes,
      failures: this.#failures,
      troubles: counted([...this.#troubles.values()].map(({ kind }) => kind)),
      silence: longestSilence(this.#heard()),
      findings: this.#findings,
      bindings: this.#bindings ?? [],
      problems: this.#problems,
    };
  }

  /** Messages about bindings whose pods are unknown: those without a target, and those that keep their old targets. */
  #unknown(): { unserved: string[]; served: string[] } {
    const unknown = this.#problems.filter(({ code }) => code === "UNKNOWN_PODS");
    if (unknown.length === 0) return { unserved: [], served: [] };
    const targets = new Map(this.#bindings?.map((binding) => [bindingName(binding), binding.targets.length]));
    const isServed = ({ binding }: Problem) => (targets.get(binding) ?? 0) > 0;
    return {
      unserved: unknown.filter((problem) => !isServed(problem)).map(({ message }) => message),
      served: unknown.filter(isServed).map(({ message }) => message),
    };
  }
}

function counted(names: string[]): Record<string, number> {
  return Object.fromEntries([...Map.groupBy(names, (name) => name)].map(([name, own]) => [name, own.length]));
}

function longestSilence(heard: Map<string, number>): number | undefined {
  if (heard.size === 0) return undefined;
  return Math.max(0, (performance.now() - Math.min(...heard.values())) / 1000);
}

/** One line for each binding that changed: its targets now and before. */
export function changes(before: Binding[] | undefined, after: Binding[], problems: Problem[]): string[] {
  const old = new Set(before);
  const young = new Set(after);
  const gone = [...old].filter((binding) => !young.has(binding));
  const come = after.filter((binding) => !old.has(binding));
  const previous = new Map(gone.map((binding) => [bindingName(binding), binding]));
  const names = new Set(come.map(bindingName));
  const why = new Map(problems.map((problem) => [problem.binding, problem]));
  return [
    ...come.flatMap((binding) => line(binding, previous.get(bindingName(binding)), why) ?? []),
    ...[...previous.keys()]
      .filter((name) => !names.has(name))
      .map((name) => why.get(name)?.message ?? `${name} is no longer configured`),
  ];
}

function samePlaces(a: Binding, b: Binding): boolean {
  const places = ({ targets }: Binding) =>
    targets
      .map(({ uid, ip, port }) => `${uid} ${ip} ${port}`)
      .sort()
      .join(", ");
  return places(a) === places(b);
}

const fates = { reject: "refused", drop: "dropped", pass: "left to the network" };

function line(binding: Binding, before: Binding | undefined, why: Map<string, Problem>): string | undefined {
  if (before !== undefined && samePlaces(before, binding)) return undefined;
  const name = bindingName(binding);
  const was = before === undefined || before.targets.length === 0 ? "" : ` (was ${list(before.targets)})`;
  if (binding.targets.length > 0) return `${name} → ${list(binding.targets)}${was}`;
  const reason = why.get(name)?.message ?? `${name} has no target on this node`;
  return `${reason}; ${fates[binding.whenNoTarget]}${was}`;
}

function list(targets: Target[]): string {
  return targets.map(place).join(", ");
}

function place({ namespace, name, ip, port }: Target): string {
  if (port === undefined) return `${namespace}/${name} ${ip}`;
  return `${namespace}/${name} ${ip.includes(":") ? `[${ip}]` : ip}:${port}`;
}
