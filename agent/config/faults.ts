import type * as z from "zod";
import { addressFaults, type Fault } from "../../component/address/address.ts";
import { type KnownAddress, standIn } from "../../component/address/known.ts";
import { nearest } from "../../component/address/nearest.ts";
import { byPath, overlaps } from "../../component/address/path.ts";
import { addressShape, configShape, portShape } from "./schema.ts";

/** The parts of a document that have the shape of a configuration. */
interface KnownConfig extends AgentPorts {
  addresses?: (KnownAddress | undefined)[];
  allowedCidrs?: (string | undefined)[];
}

interface AgentPorts {
  metricsPort?: number | undefined;
  healthPort?: number | undefined;
}

/**
 * Every fault of a document without the shape of a configuration: the faults of its shape, and those of the values that
 * have the right shape.
 */
export function documentFaults(document: unknown, issues: Issue[]): Fault[] {
  const ofShape = issues.flatMap(shapeFaults);
  if (issues.some(({ path }) => path.length === 0 && !isRecord(document))) return ofShape;
  const { addresses = [], allowedCidrs = [], ...ports } = knownOf(document, issues);
  const ofValues = [
    ...metricsPortFaults(ports),
    ...addressFaults(
      addresses.map(standIn),
      allowedCidrs.map((cidr) => cidr ?? "unknown"),
    ),
  ];
  const isKnown = ({ path }: Fault) => !ofShape.some((fault) => overlaps(fault.path, path));
  return [...ofShape, ...ofValues.filter(isKnown)].sort(byPath);
}

/** The metrics port and the health port must differ. */
export function metricsPortFaults({ metricsPort, healthPort = 61000 }: AgentPorts): Fault[] {
  if (metricsPort !== healthPort) return [];
  return [{ path: "metricsPort", reason: `${metricsPort} is the healthPort: choose another` }];
}

/** The document with undefined in place of values of a wrong shape, and without unknown fields. */
function knownOf(document: unknown, issues: Issue[]): KnownConfig {
  const known: unknown = structuredClone(document);
  for (const { path, ...issue } of issues) {
    const place = path
      .slice(0, -1)
      .reduce<unknown>((value, key) => (isRecord(value) ? value[key] : value), known);
    if (!isRecord(place)) continue;
    const last = path.at(-1);
    const inner = last === undefined ? place : place[last];
    if (issue.code !== "unrecognized_keys") place[last as PropertyKey] = undefined;
    else if (isRecord(inner)) for (const key of issue.keys) delete inner[key];
  }
  return known as KnownConfig;
}

/** True for objects and also for lists, which can be read by their indexes. */
function isRecord(value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === "object" && value !== null;
}

type Issue = z.core.$ZodIssue;

function shapeFaults(issue: Issue): Fault[] {
  const path = issue.path.reduce<string>(
    (text, key) =>
      typeof key === "number" ? `${text}[${key}]` : text === "" ? String(key) : `${text}.${String(key)}`,
    "",
  );
  if (issue.code !== "unrecognized_keys") return [{ path, reason: shapeReason(issue) }];
  return issue.keys.map((key) => ({
    path: path === "" ? key : `${path}.${key}`,
    reason: unknownReason(key, fieldsAt(issue.path)),
  }));
}

function unknownReason(key: string, fields: string[]): string {
  const meant = nearest(key, fields);
  const hint = meant === undefined ? "" : `the nearest is ${meant}, and `;
  return `is not a known field: ${hint}what can be set is ${fields.join(", ")}`;
}

/** The fields that are known at the path: those of a port, of an address or of the configuration. */
function fieldsAt(path: PropertyKey[]): string[] {
  const shape = path.includes("ports") ? portShape : path.includes("addresses") ? addressShape : configShape;
  return Object.keys(shape.shape);
}

function shapeReason(issue: Issue): string {
  if (issue.input === undefined)
    return issue.code === "invalid_type" ? `is missing: ${needed(issue)} is needed` : "is missing";
  const value = JSON.stringify(issue.input);
  if (issue.code === "invalid_type") return `${value} is the wrong kind of value: ${needed(issue)} is needed`;
  if (issue.code === "invalid_union")
    return `${value} is the wrong kind of value: a number or a name is needed`;
  if (issue.code === "invalid_value") return `${value} is not known: write ${oneOf(issue.values)}`;
  if (issue.code === "too_small") return `${value} is too small: at least ${issue.minimum}`;
  if (issue.code === "too_big") return `${value} is too big: at most ${issue.maximum}`;
  return `${value} ${issue.message}`;
}

function oneOf(values: readonly unknown[]): string {
  return values
    .map(String)
    .join(", ")
    .replace(/, ([^,]*)$/, " or $1");
}

function needed(issue: Issue & { code: "invalid_type" }): string {
  const articles: Record<string, string> = {
    array: "a list",
    object: "a mapping",
    boolean: "true or false",
    int: "a whole number",
  };
  return articles[issue.expected] ?? `a ${issue.expected}`;
}
