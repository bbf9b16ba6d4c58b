import { join } from "node:path";
import { execa } from "execa";
import { cached } from "../support/cache.ts";
import { ensurePackages } from "../support/debian.ts";
import { writeImageArchive } from "../support/image-archive.ts";
import { step } from "../support/progress.ts";

/** The image of the process that holds a pod's namespaces. */
export const PAUSE_IMAGE = "localhost/magic-ip-address-pause:1";

/** The pause image as a docker-archive: a static busybox that sleeps, for no registry of images can be reached. */
export async function pauseImage(): Promise<string> {
  const directory = await cached("pause-image-1", async (draft) => {
    await ensurePackages(["busybox-static"]);
    await step(`write image ${PAUSE_IMAGE}`, () => write(draft));
  });
  return join(directory, "image.tar");
}

async function write(draft: string): Promise<void> {
  const layer = join(draft, "layer.tar");
  await execa("tar", ["-C", "/", "-cf", layer, "bin/busybox"]);
  const image = { name: PAUSE_IMAGE, layer, command: ["/bin/busybox", "sleep", "2147483647"] };
  await writeImageArchive(image, join(draft, "image.tar"));
}
