import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { cached, contentHash } from "./cache.ts";
import { step } from "./progress.ts";

const LAST_LINES = 15;

/** What to build: packages of the Go modules that a go.mod in `directory` names. */
export interface GoTools {
  /** The first part of the cache entry's name, for example `kubernetes-1.34.4`. */
  name: string;
  /** The directory with go.mod and go.sum. */
  directory: string;
  packages: readonly string[];
  /** For `-ldflags`; for example `-s -w -X main.version=v1`. */
  ldflags?: string;
}

/** Builds Go programs once into the cache and returns the directory that holds them, each under its package's last name. */
export async function buildGoTools({
  name,
  directory,
  packages,
  ldflags = "-s -w",
}: GoTools): Promise<string> {
  const lock = ["go.mod", "go.sum", ...sources(directory)].map((file) => readFileSync(join(directory, file)));
  const entry = `${name}-${contentHash(...lock, packages.join(" "), ldflags)}`;
  return cached(entry, (draft) =>
    step(`build ${name} with Go (minutes the first time)`, async (note) => {
      const args = ["build", "-v", "-trimpath", "-ldflags", ldflags, "-o", `${draft}/`, ...packages];
      await goBuild(directory, args, note);
    }),
  );
}

/** Programs of our own that stand beside the go.mod. */
function sources(directory: string): string[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith(".go"))
    .sort();
}

/** `go build -v` names each package on stderr as it is compiled: the only progress it gives. */
async function goBuild(directory: string, args: string[], note: (text: string) => void): Promise<void> {
  const build = execa("go", args, { cwd: directory, env: { CGO_ENABLED: "0" }, reject: false });
  const messages: string[] = [];
  let compiled = 0;
  for await (const line of build.iterable({ from: "stderr" })) {
    if (/^go: downloading /.test(line)) note(line.slice("go: ".length));
    else if (/^[\w./~-]+$/.test(line)) note(`${++compiled} packages compiled`);
    else messages.push(line);
  }
  const { exitCode, failed, shortMessage } = await build;
  if (!failed) return;
  const reason = exitCode === undefined ? shortMessage : messages.slice(-LAST_LINES).join("\n");
  throw new Error(`go build failed in ${directory}:\n${reason}`);
}
