import { execFileSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";
import { table } from "../demo/table.ts";

/** One measured value, as it is printed; without an aim it is there for its own sake. */
export interface Figure {
  name: string;
  measured: string;
  aim: string;
  ok: boolean | undefined;
  /** What the value comes from. */
  from: string;
}

/** A ratio of medians that should not be less than the aim. */
export function ratioAtLeast(name: string, ratio: number, aim: number, from: string): Figure {
  return { name, measured: ratio.toFixed(3), aim: `≥ ${aim}`, ok: ratio >= aim, from };
}

export function ratioAtMost(name: string, ratio: number, aim: number, from: string): Figure {
  return { name, measured: ratio.toFixed(3), aim: `≤ ${aim}`, ok: ratio <= aim, from };
}

/** An amount, as milliseconds, that should not be more than the aim. */
export function atMost(name: string, amount: number, unit: string, aim: number, from: string): Figure {
  const measured = `${Math.round(amount)} ${unit}`;
  return { name, measured, aim: `≤ ${aim} ${unit}`, ok: amount <= aim, from };
}

export function withoutAim(name: string, measured: string, from: string): Figure {
  return { name, measured, aim: "", ok: undefined, from };
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const at = (index: number) => sorted[index] ?? Number.NaN;
  return Number.isInteger(middle) ? (at(middle - 1) + at(middle)) / 2 : at(Math.floor(middle));
}

/** The least of the values that this share of them does not exceed. */
export function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** All figures, with what they were measured on; `verdict` is absent where there is no aim. */
export function figuresJson(figures: Figure[]): string {
  const [cpu] = cpus();
  const machine = { cpu: cpu?.model, cores: cpus().length, gibibytes: Math.round(totalmem() / 2 ** 30) };
  const commit = execFileSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8" }).trim();
  const rows = figures.map(({ ok, ...figure }) => ({
    ...figure,
    ...(ok !== undefined && { verdict: ok ? "met" : "missed" }),
  }));
  return `${JSON.stringify({ date: new Date().toISOString(), commit, kernel: release(), machine, figures: rows }, undefined, 2)}\n`;
}

export function figureTable(figures: Figure[]): string {
  const verdict = ({ ok }: Figure) => (ok === undefined ? "" : ok ? "met" : "missed");
  const rows = figures.map((figure) => [
    figure.name,
    figure.measured,
    figure.aim,
    verdict(figure),
    figure.from,
  ]);
  return table(["figure", "measured", "aim", "", "from"], rows);
}
