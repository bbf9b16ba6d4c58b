import type { Reporter, TestModule } from "vitest/node";

/**
 * Prints `N passed, N failed` alone on the last line. Under CI a skipped test is a failed one: what does not run there
 * is not tested anywhere.
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
    for (const test of tests) {
      if (test.result().state !== "passed") console.log(`${test.result().state}: ${test.fullName}`);
    }
    console.log(
      `\n${count("passed")} passed, ${failed} failed${!strict && skipped > 0 ? `, ${skipped} skipped` : ""}`,
    );
    if (failed > 0 || tests.length === 0) process.exitCode = 1;
  }
}
