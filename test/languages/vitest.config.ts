import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** `npm run test:languages`: what takes minutes, because it compiles or installs as a user's machine does. */
export default defineConfig({
  root,
  test: {
    include: ["test/{languages,package}/**/*.{test,long}.ts"],
    pool: "forks",
    fileParallelism: false,
    testTimeout: 20 * 60_000,
    hookTimeout: 20 * 60_000,
    reporters: ["default", `${root}test/support/closing.ts`],
  },
});
