import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { chart } from "./render.ts";

/** A chart that has ours as a dependency under each of the aliases. */
export async function umbrella(aliases: string[]): Promise<{ chart: string; remove(): Promise<void> }> {
  const parent = await mkdtemp(join(tmpdir(), "magic-ip-"));
  await cp(chart, join(parent, "charts/magic-ip-address"), { recursive: true });
  const dependencies = aliases.map((alias) => ({
    ...{ name: "magic-ip-address", version: packageJson.version, alias },
  }));
  const metadata = { apiVersion: "v2", name: "observability", version: "1.0.0", dependencies };
  await writeFile(join(parent, "Chart.yaml"), JSON.stringify(metadata));
  return { chart: parent, remove: () => rm(parent, { recursive: true }) };
}
