/** Whether one path of properties is the other or a part of it, as `addresses[0]` and `addresses[0].ports`. */
export function overlaps(a: string, b: string): boolean {
  return isWithin(a, b) || isWithin(b, a);
}

/** Whether the first path is the second or a part of it; all paths are within the empty one. */
export function isWithin(inner: string, outer: string): boolean {
  return outer === "" || inner === outer || inner.startsWith(`${outer}.`) || inner.startsWith(`${outer}[`);
}

/** Orders faults by their paths, with indices as numbers: the tenth address after the ninth. */
export function byPath(a: { path: string }, b: { path: string }): number {
  return a.path.localeCompare(b.path, "en", { numeric: true });
}
