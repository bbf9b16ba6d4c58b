import { mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { startEngine } from "../component/engine.ts";
import { runProgram } from "../component/host.ts";
import { servePlugin } from "../component/plugin.ts";
import { copyWorkingTree, packedPackage, REPOSITORY } from "./packed.ts";

const PROGRAM = `import { MagicIpAddress } from "magic-ip-address";

const ports = [{ port: 8126 }];
export const { endpoint } = new MagicIpAddress("dd-agent", { ipAddress: "169.254.210.210", selector: "app=x", ports });
`;

let work: string;
let clone: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "magic-ip-install-"));
  clone = join(work, "clone");
  await copyWorkingTree(clone);
});
afterAll(() => rm(work, { recursive: true, force: true }));

describe("npm install", () => {
  it("takes the packed tarball, and nothing but Pulumi comes with it", async () => {
    const directory = await project("tarball");
    await install(directory, (await packedPackage()).tarball);
    await works(directory);
    const { dependencies } = JSON.parse((await npm(directory, "ls", "--json")).stdout);
    expect(Object.keys(dependencies)).toEqual([packageJson.name]);
  });

  it("takes a git reference, and compiles it", async () => {
    const git = (...args: string[]) =>
      execa("git", ["-c", "user.name=test", "-c", "user.email=test@example.com", ...args], { cwd: clone });
    await git("init", "--quiet");
    await git("add", "--all");
    await git("commit", "--quiet", "--message", "all");
    const directory = await project("git");
    await install(directory, `git+file://${await realpath(clone)}`);
    await works(directory);
  });

  it("takes a local path, the clone's after `npm ci`, as a copy or as a link", async () => {
    await symlink(join(REPOSITORY, "node_modules"), join(clone, "node_modules"));
    const copy = await project("copy");
    await install(copy, clone, "--install-links");
    await works(copy);
    const link = await project("link");
    await install(link, clone);
    await works(link);
  });
});

/** An empty folder with a program. */
async function project(name: string): Promise<string> {
  const directory = await mkdtemp(join(work, `${name}-`));
  await writeFile(join(directory, "package.json"), JSON.stringify({ private: true, main: "index.ts" }));
  await writeFile(join(directory, "index.ts"), PROGRAM);
  const compilerOptions = { module: "node16", target: "ES2022", strict: true, skipLibCheck: true, types: [] };
  await writeFile(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["index.ts"] }));
  return directory;
}

function npm(cwd: string, ...args: string[]) {
  return execa("npm", [...args, "--no-audit", "--no-fund", "--prefer-offline"], { cwd });
}

async function install(directory: string, reference: string, ...options: string[]): Promise<void> {
  await npm(directory, "install", reference, ...options);
}

/** The program is type-checked and previewed, and the package serves other languages from where it is. */
async function works(directory: string): Promise<void> {
  const tsc = join(REPOSITORY, "node_modules/.bin/tsc");
  const { all } = await execa(tsc, ["-p", ".", "--noEmit"], { cwd: directory, reject: false, all: true });
  expect(all).toBe("");
  const { complaints, exitCode, registrations } = await runProgram(new URL(`file://${directory}/index.ts`));
  expect({ complaints, exitCode }).toEqual({ complaints: [], exitCode: 0 });
  const chart = registrations.find(({ type }) => type === "kubernetes:helm.sh/v4:Chart");
  const installed = await realpath(join(directory, "node_modules/magic-ip-address"));
  expect(chart?.inputs.chart).toBe(`${installed}/component/chart`);
  const engine = await startEngine();
  const plugin = await servePlugin(installed, engine.address);
  try {
    expect((await plugin.schema()).version).toBe(packageJson.version);
  } finally {
    plugin.stop();
    engine.stop();
  }
}
