import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Minutes of waiting for what a watch, a relist or a tool may take: `npm run test:long`. */
const long = ["api", "patience", "repair", "restore"].map((name) => `test/continuity/${name}.test.ts`);
const isLong = process.env.MAGIC_IP_TESTS === "long";

export default defineConfig({
  root,
  test: {
    include: isLong ? long : ["test/**/*.test.ts"],
    exclude: isLong ? [] : long,
    pool: "forks",
    maxWorkers: 2,
    // Real kernels, clusters and engines: the bound only ends what hangs.
    testTimeout: 60_000,
    hookTimeout: 20 * 60_000,
    reporters: ["default", `${root}test/support/closing.ts`],
  },
});
