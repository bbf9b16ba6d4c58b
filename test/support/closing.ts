import type { Reporter, TestModule } from "vitest/node";

/** Characters of an error's first line that stand beside the name of what failed. */
const longestReason = 300;

/**
 * Prints `N passed, N failed` alone on the last line, and before it what failed, and why. Under CI a skipped test is a failed
 * one: what does not run there is not tested anywhere.
 */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string) => tests.filter((test) => test.result().state === state).length;
    const broken = modules.filter(
      (module) => module.state() === "failed" && module.errors().length > 0,
    ).length;
    const skipped = count("skipped") + count("pending");
    const strict = Boolean(process.env.CI);
    const failed = count("failed") + broken + (strict ? skipped : 0);
    for (const module of modules) {
      for (const { name, reason } of failures(module)) console.log(`failed: ${name}: ${reason}`);
      for (const test of module.children.allTests("skipped")) console.log(`skipped: ${test.fullName}`);
    }
    console.log(
      `\n${count("passed")} passed, ${failed} failed${!strict && skipped > 0 ? `, ${skipped} skipped` : ""}`,
    );
    if (failed > 0 || tests.length === 0) process.exitCode = 1;
  }
}

/** Tests, and suites whose hooks failed. */
function failures(module: TestModule): { name: string; reason: string }[] {
  const suites = [...module.children.allSuites()].map((suite) => ({
    name: suite.fullName,
    errors: suite.errors(),
  }));
  const tests = [...module.children.allTests("failed")].map((test) => ({
    name: test.fullName,
    errors: test.result().errors ?? [],
  }));
  const whole = { name: module.relativeModuleId, errors: module.errors() };
  return [whole, ...suites, ...tests]
    .filter(({ errors }) => errors.length > 0)
    .map(({ name, errors: [first] }) => ({ name, reason: firstLine(first?.message ?? "") }));
}

function firstLine(message: string): string {
  return (message.trim().split("\n")[0] ?? "").slice(0, longestReason);
}
