import { access, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Consumer, consumer } from "../package/consumer.ts";
import { hostOf } from "./hosts.ts";
import { addPackage, type Cli, copyExample, openCli, preview, whatExamplesDo } from "./preview.ts";

const MODULE = "example.com/pulumi-magic-ip-address/sdk/go";

let cli: Cli;
let user: Consumer;
beforeAll(async () => {
  [cli, user] = await Promise.all([openCli(), consumer()]);
});
afterAll(() => Promise.all([cli?.remove(), user?.remove()]));

it(`is added by Pulumi's CLI and builds the component for the Go example, with ${hostOf("go")}`, async () => {
  const directory = await copyExample(cli, "go");
  await addPackage(cli, directory, user.installed);
  await useGeneratedModule(directory);
  expect(await preview(cli, directory)).toEqual(whatExamplesDo);
});

/** What Pulumi's own host does at `pulumi package add`: go.mod says where the generated module is. */
async function useGeneratedModule(directory: string): Promise<void> {
  if ((await readFile(join(directory, "go.mod"), "utf8")).includes(MODULE)) return;
  const generated = join(directory, "sdks/magic-ip-address");
  const run = (args: string[], cwd: string) => execa("go", args, { cwd, env: { GOFLAGS: "-mod=mod" } });
  const lacksModule = await access(join(generated, "go.mod")).then(
    () => false,
    () => true,
  );
  if (lacksModule) await writeFile(join(generated, "go.mod"), `module ${MODULE}\n\ngo 1.25\n`);
  const here = [`-replace=${MODULE}=./sdks/magic-ip-address`, `-require=${MODULE}@v0.0.0`];
  await run(["mod", "edit", ...here], directory);
  await run(["mod", "tidy"], directory);
}
