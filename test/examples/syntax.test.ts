import { execa } from "execa";
import { expect, it } from "vitest";
import { examples } from "./example.ts";

const has = async (tool: string, argument: string) =>
  (await execa(tool, [argument], { reject: false, timeout: 10_000 })).exitCode === 0;
const [python, go] = await Promise.all([has("python3", "--version"), has("go", "version")]);

it.runIf(python)("Python takes its example for a program", async () => {
  const compile = "import ast, sys; ast.parse(open(sys.argv[1]).read())";
  const { stderr, exitCode } = await execa("python3", ["-c", compile, `${examples}/python/__main__.py`], {
    reject: false,
  });
  expect([stderr, exitCode]).toEqual(["", 0]);
});

it.runIf(go)("gofmt has nothing to say of the example in Go", async () => {
  const { stdout, stderr } = await execa("gofmt", ["-l", `${examples}/go`], { reject: false });
  expect([stdout, stderr]).toEqual(["", ""]);
});
