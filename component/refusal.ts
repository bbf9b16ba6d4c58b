import { InputPropertiesError } from "@pulumi/pulumi";
import { isPending, isRecord } from "./shape";
import { shown } from "./shown";
import type { Fault } from "./address/fault";

/** The component whose arguments are checked. */
export interface Subject {
  /** The name of its class. */
  type: string;
  name: string;
  /** Whether its arguments are those of the only address. */
  alone?: boolean;
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

/** The arguments, none where nothing was written. Throws where they are no object that can be read now. */
export function argumentsOf<T extends object>(subject: Subject, args: T): T {
  const given: unknown = args ?? {};
  if (isPending(given)) {
    const reason = "are an Output or a promise: write an object, each field of which may be one";
    refuse(subject, [{ path: "args", reason }]);
  }
  if (!isRecord(given)) {
    const reason = `${shown(given)} is not an object: write { ${subject.alone ? "ipAddress: …, selector: …" : "addresses: […]"} }`;
    refuse(subject, [{ path: "args", reason }]);
  }
  return given as T;
}

/** What a component is called in messages. */
export function titleOf({ type, name }: Subject): string {
  return `${type} "${name}"`;
}

function count(faults: number): string {
  return faults === 1 ? "one argument is" : `${faults} arguments are`;
}
