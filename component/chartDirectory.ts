import { existsSync } from "node:fs";
import { join } from "node:path";

/** The chart stands beside the sources, also when it is the compiled component, in dist/component, that looks for it. */
export function chartDirectory(): string {
  const places = [join(__dirname, "chart"), join(__dirname, "..", "..", "component", "chart")];
  const found = places.find((place) => existsSync(join(place, "Chart.yaml")));
  if (found !== undefined) return found;
  throw new Error(`magic-ip-address: its Helm chart is missing: neither in ${places.join(" nor in ")}`);
}
