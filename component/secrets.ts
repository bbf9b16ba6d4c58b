import * as pulumi from "@pulumi/pulumi";
import { installationShape } from "./installationShape";
import { at, isPending, isRecord, type Shape } from "./shape";
import type { Fault } from "./address/fault";
import { canonicalIp } from "./address/ip";
import { overlaps } from "./address/path";

/** The secret arguments of an installation, which no message may show. */
export interface Secrets {
  paths: string[];
  /** Every text and number at those paths, the longest first. */
  texts: string[];
}

export const noSecrets: Secrets = { paths: [], texts: [] };

/** The text that replaces a secret. */
const veil = "[secret]";

/**
 * Finds the secrets among the arguments before Pulumi joins them to one Output, which only says that it contains one.
 * An Output that contains a secret is secret as a whole. `known` has the same arguments with their values.
 */
export async function secretsIn(args: unknown, known: unknown): Promise<Secrets> {
  const found = await search(args, known, "");
  const texts = found.flatMap(({ value }) => textsIn(value)).flatMap((text) => [text, canonicalIp(text)]);
  return {
    paths: found.map(({ path }) => path),
    texts: [...new Set(texts)].filter((text) => text !== "").sort((a, b) => b.length - a.length),
  };
}

/** The fault as it may be shown: for a secret argument it has only the path and an example of a right value. */
export function veiled({ path, reason }: Fault, secrets: Secrets): Fault {
  if (!secrets.paths.some((secret) => overlaps(secret, path))) return withoutTexts({ path, reason }, secrets);
  const example = exampleAt(path);
  return {
    path,
    reason: `${veil} is wrong, and not shown${example === undefined ? "" : `: write one like ${example}`}`,
  };
}

/** The fault with every text of a secret replaced, wherever it stands in the reason. */
export function withoutTexts({ path, reason }: Fault, { texts }: Secrets): Fault {
  return { path, reason: texts.reduce(replaced, reason) };
}

interface Place {
  path: string;
  value: unknown;
}

async function search(arg: unknown, value: unknown, path: string): Promise<Place[]> {
  if (pulumi.Output.isInstance(arg)) return (await pulumi.isSecret(arg)) ? [{ path, value }] : [];
  if (isPending(arg)) return search(await arg, value, path);
  if (typeof arg !== "object" || arg === null || pulumi.Resource.isInstance(arg)) return [];
  const inner = (key: string) =>
    isRecord(value) || Array.isArray(value) ? Reflect.get(value, key) : undefined;
  const places = Object.entries(arg).map(([key, part]) =>
    search(part, inner(key), Array.isArray(arg) ? `${path}[${key}]` : at(path, key)),
  );
  return (await Promise.all(places)).flat();
}

function textsIn(value: unknown): string[] {
  if (typeof value === "string" || typeof value === "number") return [String(value)];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

/**
 * A text of up to 3 characters is replaced only where it is a word of its own: inside other words it reveals nothing.
 */
function replaced(reason: string, text: string): string {
  if (text.length > 3) return reason.replaceAll(text, veil);
  const escaped = text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  return reason.replace(new RegExp(`(?<![\\w.])${escaped}(?![\\w.])`, "g"), veil);
}

/** The example value that the shape of the arguments has at the path. */
function exampleAt(path: string): string | undefined {
  const keys = path.match(/[^.[\]]+/g) ?? [];
  const shape = keys.reduce<Shape | undefined>((outer, key) => {
    if (outer?.is === "object") return outer.fields[key];
    return outer?.is === "list" || outer?.is === "map" ? outer.of : undefined;
  }, installationShape);
  return shape?.example;
}
