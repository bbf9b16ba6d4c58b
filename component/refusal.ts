import { InputPropertiesError } from "@pulumi/pulumi";
import { isPending, isRecord } from "./shape";
import { shown } from "./shown";
import type { Fault } from "./address/fault";

/** The component whose arguments are checked. */
export interface Subject {
  /** The name of its class. */
  type: string;
  name: string;
  /** Whether it has one address only, whose fields are its own arguments. */
  alone?: boolean;
  /** Changes an argument's path, or the paths in a text, to the names that the component's user writes. */
  pathOf(path: string): string;
}

/**
 * Throws when there are faults, with all of them.
 *
 * The message itself names each fault, because Pulumi prints only the message of a program's own error. The engine
 * prints the list of errors beside it only when the component is used from another language.
 */
export function refuse(subject: Subject, faults: Fault[]): void {
  if (faults.length === 0) return;
  const errors = faults.map(({ path, reason }) => ({ propertyPath: subject.pathOf(path), reason }));
  const message = [
    `${titleOf(subject)} cannot be installed, ${count(faults.length)} wrong:`,
    ...errors.map(({ propertyPath, reason }) => `  ${propertyPath}: ${reason}`),
  ].join("\n");
  // Pulumi's language hosts recognise a RunError by this mark and print its message without a stack trace, which would
  // not help the user who wrote the arguments (pulumi/pulumi, sdk/nodejs/errors.ts and cmd/run/run.ts).
  throw Object.assign(new InputPropertiesError({ message, errors }), { __pulumiRunError: true });
}

/** The arguments; an empty object where none were given. Throws where they are no object, an Output or a promise. */
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

/** The component's name in messages. */
export function titleOf({ type, name }: Subject): string {
  return `${type} "${name}"`;
}

function count(faults: number): string {
  return faults === 1 ? "one argument is" : `${faults} arguments are`;
}
