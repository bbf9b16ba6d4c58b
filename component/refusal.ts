import { InputPropertiesError } from "@pulumi/pulumi";
import type { Fault } from "./spec/fault";

/** The component whose arguments are checked. */
export interface Subject {
  /** The name of its class. */
  type: string;
  name: string;
  /** An argument's path, or a text with paths in it, in its own words. */
  pathOf(path: string): string;
}

/**
 * Throws when there are faults, with all of them.
 *
 * The message names each fault itself, because a program's own error is printed as it is; only when the component is used
 * from another language does the engine print the list of errors beside it.
 */
export function refuse(subject: Subject, faults: Fault[]): void {
  if (faults.length === 0) return;
  const errors = faults.map(({ path, reason }) => ({ propertyPath: subject.pathOf(path), reason }));
  const message = [
    `${titleOf(subject)} cannot be installed, ${count(faults.length)} wrong:`,
    ...errors.map(({ propertyPath, reason }) => `  ${propertyPath}: ${reason}`),
  ].join("\n");
  // Pulumi's hosts know a RunError by this mark, and print its message without a stack trace, which would say nothing
  // to whoever wrote the arguments (pulumi/pulumi, sdk/nodejs/errors.ts and cmd/run/run.ts).
  throw Object.assign(new InputPropertiesError({ message, errors }), { __pulumiRunError: true });
}

/** What a component is called in messages. */
export function titleOf({ type, name }: Subject): string {
  return `${type} "${name}"`;
}

function count(faults: number): string {
  return faults === 1 ? "one argument is" : `${faults} arguments are`;
}
