import { InputPropertiesError } from "@pulumi/pulumi";
import type { Fault } from "./spec/address";

/**
 * Throws when there are faults, with all of them.
 *
 * The message names each fault itself, because a program's own error is printed as it is; only when the component is used
 * from another language does the engine print the list of errors beside it.
 */
export function refuse(type: string, name: string, faults: Fault[]): void {
  if (faults.length === 0) return;
  const message = [
    `${type} "${name}" cannot be installed, ${count(faults.length)} wrong:`,
    ...faults.map(({ path, reason }) => `  ${path}: ${reason}`),
  ].join("\n");
  const errors = faults.map(({ path, reason }) => ({ propertyPath: path, reason }));
  // Pulumi's hosts know a RunError by this mark, and print its message without a stack trace, which would say nothing
  // to whoever wrote the arguments (pulumi/pulumi, sdk/nodejs/errors.ts and cmd/run/run.ts).
  throw Object.assign(new InputPropertiesError({ message, errors }), { __pulumiRunError: true });
}

function count(faults: number): string {
  return faults === 1 ? "one argument is" : `${faults} arguments are`;
}
