import { join } from "node:path";
import { execa } from "execa";
import { cached, contentHash } from "./cache.ts";
import { ensurePackages } from "./debian.ts";
import { writeImageArchive } from "./image-archive.ts";
import { step } from "./progress.ts";
import { giveToBuildah, RECIPE_LABEL, SEARCH_PATH, SUITE } from "./rootfs.ts";

/** The image that the build of the agent's image compiles its netlink program in. */
export const COMPILER_IMAGE = "localhost/magic-ip-address-compiler:bookworm";

const DEBOOTSTRAP = [
  "--variant=essential",
  "--mode=root",
  "--quiet",
  "--dpkgopt=force-unsafe-io",
  "--include=gcc,libc6-dev,make",
];

/** Debian with a C compiler among buildah's images: a build then needs no network. Made once. */
export async function compilerImage(): Promise<void> {
  const recipe = contentHash(SUITE, process.arch, ...DEBOOTSTRAP);
  const directory = await cached(`compiler-image-${recipe}`, async (draft) => {
    await ensurePackages(["mmdebstrap"]);
    await step(`make a Debian ${SUITE} with a C compiler`, async () => {
      const layer = join(draft, "rootfs.tar");
      await execa("mmdebstrap", [...DEBOOTSTRAP, SUITE, layer], { stdin: "ignore" });
      const image = { name: COMPILER_IMAGE, layer, environment: [SEARCH_PATH], command: ["gcc"] };
      await writeImageArchive({ ...image, labels: { [RECIPE_LABEL]: recipe } }, join(draft, "image.tar"));
    });
  });
  await giveToBuildah(COMPILER_IMAGE, join(directory, "image.tar"), recipe);
}
