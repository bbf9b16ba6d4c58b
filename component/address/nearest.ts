/**
 * The candidate with the fewest typing errors against the name; undefined where even that has errors in more than a
 * third of the name's letters (one error is always allowed).
 */
export function nearest(name: string, candidates: string[]): string | undefined {
  const rated = candidates.map((candidate) => ({ candidate, errors: distance(name, candidate) }));
  const [best] = rated.sort((a, b) => a.errors - b.errors);
  const allowed = Math.max(1, Math.floor(name.length / 3));
  return best !== undefined && best.errors <= allowed ? best.candidate : undefined;
}

/** The Levenshtein distance without regard to case: the number of letters added, left out or exchanged. */
function distance(a: string, b: string): number {
  const [from, to] = [a.toLowerCase(), b.toLowerCase()];
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1];
    for (let j = 1; j <= to.length; j++) {
      const exchanged = (row[j - 1] ?? 0) + (letter === to[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, exchanged));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
