import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const root = fileURLToPath(new URL("..", import.meta.url));

export default defineConfig({
  root,
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    // Real kernels, clusters and engines: the bound only ends what hangs.
    testTimeout: 60_000,
    hookTimeout: 20 * 60_000,
    reporters: ["default", `${root}test/support/closing.ts`],
  },
});
