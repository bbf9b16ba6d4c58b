import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { agentImage } from "./agent-image.ts";

interface Image {
  config: { Labels: Record<string, string>; Env: string[]; Entrypoint: string[]; Cmd: string[] };
}

let work: string;
let root: string;
let image: Image;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "magic-ip-image-"));
  root = join(work, "root");
  await mkdir(root);
  const archive = await agentImage();
  await execa("tar", ["-xf", archive, "-C", work]);
  const [{ Config, Layers }] = JSON.parse(await readFile(join(work, "manifest.json"), "utf8"));
  image = JSON.parse(await readFile(join(work, Config), "utf8"));
  for (const layer of Layers) await execa("tar", ["-xf", join(work, layer), "-C", root]);
  // Nothing of the image may need a shell.
  for (const shell of ["sh", "bash", "dash", "rbash"])
    await rm(join(root, "usr/bin", shell), { force: true });
});
afterAll(() => rm(work, { recursive: true, force: true }));

/** What a container of the image does with these arguments, as far as its root file system goes. */
function run(...args: string[]) {
  const env = Object.fromEntries(image.config.Env.map((entry) => entry.split(/=(.*)/s, 2)));
  const words = [root, ...image.config.Entrypoint, ...args];
  return execa("chroot", words, { env, extendEnv: true, reject: false });
}

describe("the agent's image", () => {
  it("says what it is", () => {
    expect(image.config.Labels).toMatchObject({
      "org.opencontainers.image.title": "magic-ip-address-agent",
      "org.opencontainers.image.description": expect.stringContaining("magic IP addresses"),
      "org.opencontainers.image.licenses": "Apache-2.0",
      "org.opencontainers.image.version": packageJson.version,
      "org.opencontainers.image.revision": expect.stringMatching(/^[0-9a-f]{40}(-dirty)?$/),
    });
    expect(image.config.Cmd).toEqual(["run"]);
  });

  it("says its version and its usage, without a shell", async () => {
    expect(await run("--version")).toMatchObject({ exitCode: 0, stdout: packageJson.version, stderr: "" });
    const { exitCode, stdout } = await run("--help");
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^Usage: magic-ip-address-agent /);
    expect(stdout).toContain("Exit codes: 0 done, 1 failed, 2 the arguments or the configuration are wrong.");
  });

  it.each([
    [["run"], 2, /MAGIC_IP/],
    [["run", "--config", "/nowhere.yaml"], 2, /^\/nowhere\.yaml cannot be read: there is no such file$/],
    [["cleanup"], 2, /^say which installation: /],
    [["jump"], 2, /unknown command 'jump'/],
  ])("ends %j with %i and the reason", async (args, code, reason) => {
    const { exitCode, stderr } = await run(...args);
    expect({ exitCode, stderr }).toEqual({ exitCode: code, stderr: expect.stringMatching(reason) });
  });

  it("has the netlink program, and no compiler", async () => {
    const program = await execa("chroot", [root, "magic-ip-netlink"], { reject: false });
    expect(program).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/^usage: magic-ip-netlink /),
    });
    for (const tool of ["gcc", "make"]) expect(existsSync(join(root, "usr/bin", tool)), tool).toBe(false);
  });

  it("carries the bill of materials and the licenses of every package in its bundle", async () => {
    const bill = JSON.parse(await readFile(join(root, "agent/sbom.cdx.json"), "utf8"));
    expect(bill).toMatchObject({
      bomFormat: "CycloneDX",
      metadata: { component: { name: "magic-ip-address-agent", version: packageJson.version } },
    });
    const licenses = await readFile(join(root, "agent/LICENSES.txt"), "utf8");
    const licensed = [...licenses.matchAll(/^(\S+) (\S+)\n=+$/gm)].map(
      ([, name, version]) => `${name}@${version}`,
    );
    const billed = bill.components.map((component: { "bom-ref": string }) => component["bom-ref"]);
    expect(billed.sort()).toEqual(licensed.sort());
    expect(licensed.length).toBeGreaterThan(20);
  });
});
