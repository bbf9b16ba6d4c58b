import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The files that wait most, longest first: begun first, they wait beside the others and nobody waits for them. */
const longest = [
  ...["cluster/magic-ip", "continuity/restore", "continuity/patience", "pulumi/stack", "continuity"],
  ...["kernel/packets", "languages", "examples/programs", "component/root-program", "component/package"],
  ...["package/consumer", "kernel"],
];

class LongestFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return Promise.resolve(files.toSorted((one, other) => rank(one) - rank(other)));
  }
}

function rank({ moduleId }: TestSpecification): number {
  const found = longest.findIndex((name) => moduleId.startsWith(`${root}test/${name}`));
  return found === -1 ? longest.length : found;
}

export default defineConfig({
  root,
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // Twice the smallest machine's cores: half of the time of most files is waiting.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    // Real kernels, clusters and engines: the bound only ends what hangs.
    testTimeout: 180_000,
    // On a new machine a hook builds Kubernetes and Pulumi.
    hookTimeout: 60 * 60_000,
    reporters: ["default", `${root}test/support/closing.ts`],
  },
});
