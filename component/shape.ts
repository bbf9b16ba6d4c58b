import { isUnknown, Output } from "@pulumi/pulumi";
import type { Fault } from "./address/address";
import { shown } from "./shown";
import { nearest } from "./address/nearest";

/** The type that an argument must have. Messages show the example, so it must be a right value. */
export type Shape = Leaf | Text | ListShape | MapShape | FieldsShape;

interface Leaf {
  is: "number" | "boolean" | "string or number";
  example: string;
}

/** Where any text is right there is no example: the message shows the written value as a text. */
interface Text {
  is: "string";
  example?: string;
}

interface ListShape {
  is: "list";
  of: Shape;
  example: string;
}

/** An object with any keys; its values have the shape `of`, or any where that is absent. */
interface MapShape {
  is: "map";
  of?: Shape;
  example: string;
}

/** An object with fixed field names. */
export interface FieldsShape {
  is: "object";
  fields: Record<string, Shape>;
  required?: string[];
  /** Fields that the user writes beside these, although the object here does not contain them. */
  beside?: Record<string, Shape>;
  example: string;
}

/** The result of checking arguments while some of them are not known. */
export interface Examination {
  /** The arguments, with undefined in place of values that are unknown or of the wrong shape. */
  plain: unknown;
  faults: Fault[];
  /** The paths of the values that undefined replaces. */
  unchecked: string[];
}

/**
 * Compares a value with its shape: TypeScript's compiler does not check a JavaScript program, JSON in a stack's
 * configuration, or another Pulumi language. Unknown parts (an Output, a promise or Pulumi's value for unknown) are
 * left unchecked.
 */
export function examine(value: unknown, shape: Shape, path = ""): Examination {
  if (isPending(value)) return { plain: undefined, faults: [], unchecked: [path] };
  switch (shape.is) {
    case "list":
      return Array.isArray(value) ? examineList(value, shape, path) : wrong(value, shape, path);
    case "map":
      return isRecord(value) ? examineMap(value, shape, path) : wrong(value, shape, path);
    case "object":
      return isRecord(value) ? examineFields(value, shape, path) : wrong(value, shape, path);
    default:
      return shape.is.split(" or ").includes(typeof value) ? fine(value) : wrong(value, shape, path);
  }
}

/** Whether the value is an object that maps names to values by its own fields, which neither a list nor a Map does. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return Object.prototype.toString.call(value) === "[object Object]";
}

/** Whether the value is an Output, a promise or Pulumi's value for unknown. */
export function isPending(value: unknown): boolean {
  return Output.isInstance(value) || value instanceof Promise || isUnknown(value);
}

function examineList(list: unknown[], shape: ListShape, path: string): Examination {
  // Array.from, because map passes over the gaps of [, { port: 1 }].
  const parts = Array.from(list, (item, index) => examine(item, shape.of, `${path}[${index}]`));
  return { ...joined(parts), plain: parts.map(({ plain }) => plain) };
}

function examineMap(map: Record<string, unknown>, { of }: MapShape, path: string): Examination {
  if (of === undefined) return fine(map);
  return examineEach(map, Object.keys(map), () => of, path);
}

function examineFields(value: Record<string, unknown>, shape: FieldsShape, path: string): Examination {
  const { fields, required = [] } = shape;
  const isGiven = (field: string) => value[field] !== undefined && value[field] !== null;
  const unknown = Object.keys(value).filter((key) => isGiven(key) && !Object.hasOwn(fields, key));
  const missing = required.filter((field) => !isGiven(field));
  const given = Object.keys(fields).filter(isGiven);
  const examined = examineEach(value, given, (field) => fields[field] as Shape, path);
  const faults = [
    ...missing.map((field) => missingFault(fields[field] as Shape, at(path, field))),
    ...examined.faults,
    ...unknown.map((key) => unknownFault(key, shape, at(path, key))),
  ];
  const unchecked = [...missing.map((field) => at(path, field)), ...examined.unchecked];
  return { plain: examined.plain, faults, unchecked };
}

function examineEach(
  value: Record<string, unknown>,
  keys: string[],
  shapeOf: (key: string) => Shape,
  path: string,
): Examination {
  const parts = keys.map((key) => examine(value[key], shapeOf(key), at(path, key)));
  const plain = Object.fromEntries(keys.map((key, index) => [key, parts[index]?.plain]));
  return { ...joined(parts), plain };
}

function joined(parts: Examination[]): Pick<Examination, "faults" | "unchecked"> {
  return {
    faults: parts.flatMap(({ faults }) => faults),
    unchecked: parts.flatMap(({ unchecked }) => unchecked),
  };
}

function fine(value: unknown): Examination {
  return { plain: value, faults: [], unchecked: [] };
}

function wrong(value: unknown, shape: Shape, path: string): Examination {
  const article = shape.is === "object" ? "an" : "a";
  const example = shape.example ?? (typeof value === "object" ? "a text" : shown(String(value)));
  const reason = `${shown(value)} is not ${article} ${shape.is}: write ${example}`;
  return { plain: undefined, faults: [{ path, reason }], unchecked: [path] };
}

function missingFault(shape: Shape, path: string): Fault {
  return { path, reason: `is missing: write ${shape.example ?? "a text"}` };
}

/** The fault of an unknown name: one with a typing error, or one that belongs to another part of the arguments. */
function unknownFault(key: string, { fields, beside = {} }: FieldsShape, path: string): Fault {
  const all = { ...fields, ...beside };
  const names = Object.keys(all);
  const elsewhere = Object.entries(all).flatMap(([name, shape]) => placesOf(key, name, shape));
  const meant = elsewhere[0] ?? nearest(key, names);
  const hint = meant === undefined ? "" : `the nearest name is ${meant}, and `;
  return { path, reason: `is not known: ${hint}what can be set is ${names.join(", ")}` };
}

/** The path of the field `key` inside the field `name`; empty where that has no such field. */
function placesOf(key: string, name: string, shape: Shape): string[] {
  const [inner, path] = shape.is === "list" ? [shape.of, `${name}[0]`] : [shape, name];
  return inner.is === "object" && Object.hasOwn(inner.fields, key) ? [at(path, key)] : [];
}

/** The path of a key, as Pulumi writes property paths; a key with a dot, a bracket or a quote in it is quoted. */
export function at(path: string, key: string): string {
  if (/[.[\]"]/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}
