import type { EngineEvent } from "@pulumi/pulumi/automation/events.js";

/** How many resources an operation created, updated, replaced, deleted and left as they were. */
export interface Changes {
  created: number;
  updated: number;
  replaced: number;
  deleted: number;
  same: number;
}

/** One thing that the engine did, or at a preview would do, with one resource. */
export interface Step {
  op: string;
  type: string;
  name: string;
}

/** What an operation did and said. */
export interface Outcome {
  changes: Changes;
  /** Every step but "same", in the order in which the engine took them; without those for Pulumi's providers. */
  steps: Step[];
  /** Warnings and errors, one a line, without colors. */
  diagnostics: string;
  seconds: number;
}

/** An operation that the engine gave up; the message is what the user of `pulumi up` reads. */
export class OperationFailed extends Error {
  override name = "OperationFailed";
  constructor(
    operation: string,
    readonly outcome: Outcome,
    cause: unknown,
  ) {
    super(`pulumi ${operation} failed:\n${outcome.diagnostics || (cause as Error).message}`, { cause });
  }
}

/** Reads the engine's events of one operation into its outcome. */
export function outcomeOf(events: EngineEvent[], seconds: number): Outcome {
  return { changes: changesOf(events), steps: stepsOf(events), diagnostics: diagnosticsOf(events), seconds };
}

function changesOf(events: EngineEvent[]): Changes {
  const summary = events.findLast((event) => event.summaryEvent)?.summaryEvent;
  const counts = (summary?.resourceChanges ?? {}) as Record<string, number>;
  const count = (op: string) => counts[op] ?? 0;
  return {
    created: count("create"),
    updated: count("update"),
    replaced: count("replace"),
    deleted: count("delete"),
    same: count("same"),
  };
}

function stepsOf(events: EngineEvent[]): Step[] {
  return events
    .flatMap(({ resourcePreEvent }) => resourcePreEvent?.metadata ?? [])
    .filter(({ op, type }) => op !== "same" && !type.startsWith("pulumi:providers:"))
    .map(({ op, type, urn }) => ({ op, type, name: urn.split("::").at(-1) ?? urn }));
}

function diagnosticsOf(events: EngineEvent[]): string {
  const lines = events
    .flatMap(({ diagnosticEvent }) => diagnosticEvent ?? [])
    .filter(({ severity, ephemeral }) => /^(warning|error)$/.test(severity) && !ephemeral)
    .map(({ prefix, message }) => withoutColors(`${prefix ?? ""}${message}`).trim())
    .filter((line) => !NOISE.test(line));
  // Host and engine both report an error of the program.
  return [...new Set(lines)].join("\n");
}

// The engine warns of the provider that plugin.ts put on its PATH on purpose; and when one resource fails, the program still
// asks for others, which says nothing about the cause.
const NOISE =
  /using pulumi-resource-kubernetes from \$PATH|resource monitor shut down|the client connection is closing/;

// The engine's own color tags, `<{%fg 1%}>`, and the terminal's.
function withoutColors(text: string): string {
  return text.replaceAll(/<\{%.*?%\}>|\u001b\[[\d;]*m/g, "");
}
