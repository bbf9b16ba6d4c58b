import { existsSync } from "node:fs";
import { join } from "node:path";

/** The chart's directory: beside this file, or, for the compiled component in dist/component, beside its sources. */
export function chartDirectory(): string {
  const places = [join(__dirname, "chart"), join(__dirname, "..", "..", "component", "chart")];
  const found = places.find((place) => existsSync(join(place, "Chart.yaml")));
  if (found !== undefined) return found;
  throw new Error(`magic-ip-address: its Helm chart is missing: neither in ${places.join(" nor in ")}`);
}
