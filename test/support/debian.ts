import { existsSync, rmSync, writeFileSync } from "node:fs";
import { type ExecaError, execa } from "execa";
import { withLock } from "./cache.ts";
import { step } from "./progress.ts";

const POLICY = "/usr/sbin/policy-rc.d";
const APT = ["-y", "-qq", "-o", "DPkg::Lock::Timeout=300"];

/** Installs the Debian packages that are missing (as root), or says which ones somebody has to install. */
export async function ensurePackages(names: readonly string[]): Promise<void> {
  if ((await missing(names)).length === 0) return;
  await withLock("debian-packages", async () => {
    const wanted = await missing(names);
    if (wanted.length === 0) return;
    if (process.getuid?.() !== 0)
      throw new Error(
        `Debian packages are missing and only root may install them: run apt-get install ${wanted.join(" ")}`,
      );
    await step(`install Debian packages ${wanted.join(" ")}`, () => install(wanted));
  });
}

async function missing(names: readonly string[]): Promise<string[]> {
  const installed = await installedPackages(names);
  return names.filter((name) => !installed.has(name));
}

async function installedPackages(names: readonly string[]): Promise<Set<string>> {
  const format = "${Package} ${db:Status-Status}\\n";
  const query = ["-W", "-f", format, ...names];
  const { stdout, exitCode, stderr } = await execa("dpkg-query", query, { reject: false });
  // 1 only says that dpkg does not know one of the names.
  if (exitCode !== 0 && exitCode !== 1)
    throw new Error(`dpkg-query cannot tell which packages are there (this is for Debian 12): ${stderr}`);
  const rows = stdout.split("\n").filter((row) => row.endsWith(" installed"));
  return new Set(rows.map((row) => row.split(" ")[0] ?? ""));
}

/** The lists of a fresh machine are absent, those of an old one name files that are gone: both show as a failure at once. */
async function install(names: string[]): Promise<void> {
  const options = ["install", "--no-install-recommends", ...APT, ...names];
  await withoutServices(async () => {
    try {
      await aptGet(options);
    } catch {
      await aptGet(["update", "-qq"]);
      await aptGet(options).catch((error: ExecaError) => {
        throw new Error(`apt-get cannot install ${names.join(" ")}:\n${lastLines(error)}`, { cause: error });
      });
    }
  });
}

async function aptGet(args: string[]): Promise<void> {
  await execa("apt-get", args, { env: { DEBIAN_FRONTEND: "noninteractive" }, stdin: "ignore", all: true });
}

/** Debian starts a daemon when its package is installed; etcd and containerd are wanted here as programs only. */
async function withoutServices<T>(work: () => Promise<T>): Promise<T> {
  if (existsSync(POLICY)) return work();
  const remove = () => rmSync(POLICY, { force: true });
  process.once("exit", remove); // an interrupted process must not leave a machine whose services never start
  writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    return await work();
  } finally {
    remove();
    process.removeListener("exit", remove);
  }
}

function lastLines(error: ExecaError): string {
  return String(error.all ?? error.message)
    .trim()
    .split("\n")
    .slice(-10)
    .join("\n");
}
