import { readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { execa } from "execa";
import { buildGoTools } from "../support/build.ts";
import { cached, contentHash } from "../support/cache.ts";
import { writeImageArchive } from "../support/image-archive.ts";
import { step } from "../support/progress.ts";

/** The collector's image: one static program and nothing else. */
export const COLLECTOR_IMAGE = "localhost/magic-ip-address-collector:test";

const SOURCES = join(import.meta.dirname, "collector");

/** What the collector is told, as the text of its configuration file. */
export function collectorConfiguration(): Promise<string> {
  return readFile(join(SOURCES, "config.yaml"), "utf8");
}

/** An OpenTelemetry Collector as an image: the path of a docker-archive for `loadImage`, made once. */
export async function collectorImage(): Promise<string> {
  const programs = await collectorProgram();
  const directory = await cached(`collector-image-${contentHash(basename(programs))}`, (draft) =>
    step(`write image ${COLLECTOR_IMAGE}`, () => writeImage(programs, join(draft, "image.tar"))),
  );
  return join(directory, "image.tar");
}

/** Builds the program once; returns the directory that holds it. */
function collectorProgram(): Promise<string> {
  const packages = ["magic-ip-address.test/collector"];
  return buildGoTools({ name: "collector", directory: SOURCES, packages });
}

async function writeImage(programs: string, archive: string): Promise<void> {
  const layer = `${archive}.layer`;
  // The same program gives the same layer, and so the same image.
  const reproducible = ["--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
  await execa("tar", [...reproducible, "--directory", programs, "--create", "--file", layer, "collector"]);
  await writeImageArchive({ name: COLLECTOR_IMAGE, layer, command: ["/collector"] }, archive);
  await rm(layer);
}
