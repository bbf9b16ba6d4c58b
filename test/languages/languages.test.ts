import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Consumer, consumer } from "../package/consumer.ts";
import { hostOf } from "./hosts.ts";
import { addPackage, type Cli, copyExample, openCli, preview, whatExamplesDo } from "./preview.ts";
import { installGenerated, layOutPython, pythonEnvironment } from "./python.ts";

// Where nobody serves a language, the name of a test has to say that its program was not run.
const [python, yaml] = (["python", "yaml"] as const).map(hostOf);

// Compilers and package managers on a machine that other tests keep busy.
vi.setConfig({ testTimeout: 5 * 60_000 });

let cli: Cli;
let user: Consumer;
beforeAll(async () => {
  [cli, user] = await Promise.all([openCli(), consumer(), pythonEnvironment()]);
});
afterAll(() => Promise.all([cli?.remove(), user?.remove()]));

/** Go's example takes a minute to compile: `npm run test:languages`. */
describe("the package in node_modules, for a program in another language", () => {
  it(`is added by Pulumi's CLI and builds the component for the Python example, with ${python}`, async () => {
    const directory = await copyExample(cli, "python");
    await layOutPython(directory);
    await addPackage(cli, directory, user.installed);
    await installGenerated(directory);
    expect(await preview(cli, directory)).toEqual(whatExamplesDo);
  });

  if (yaml) {
    it(`builds the component for the YAML example, with ${yaml}`, async () => {
      const directory = await copyExample(cli, "yaml", user.installed);
      expect(await preview(cli, directory)).toEqual(whatExamplesDo);
    });
  } else {
    it("was not run for the YAML example: pulumi-language-yaml is not on the PATH, and the Go module proxy does not have it", () => {
      expect(yaml).toBeUndefined();
    });
  }
});
