/** `npm run image`: builds agent/Dockerfile with the tool that is there and leaves dist/agent-image.tar. */
import { stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { say } from "../support/progress.ts";
import { type Architecture, buildImage, ownArchitecture, REPOSITORY } from "./build.ts";
import { findBuilder } from "./builder.ts";

const USAGE = `Usage: npm run image -- [options]
  --arch amd64|arm64    the image's architecture (default: this machine's, ${ownArchitecture()})
  --base-image <name>   what the image stands on (default: Debian with Node.js 24, by digest)
  --build-image <name>  what the bundle is made in; needs npm (default: the base image)
  --compiler-image <name>  what the netlink program is compiled in; needs gcc and make, or apt-get (default: the base image)
  --output <file>       the docker-archive to write (default: dist/agent-image.tar)
podman and buildah have settings of their own, too: BUILDAH_ISOLATION=chroot where no namespaces may be made, and
CONTAINERS_STORAGE_CONF with driver = "vfs" where no overlay may be mounted.`;

async function main(): Promise<void> {
  const { arch, help, output, ...images } = options();
  const { "base-image": baseImage, "build-image": buildImageName, "compiler-image": compilerImage } = images;
  if (help) return say(USAGE);
  const builder = await findBuilder();
  say(`building with ${builder.name} (${builder.reason})`);
  const start = performance.now();
  const name = await buildImage({
    builder: builder.name,
    output,
    architecture: architecture(arch),
    baseImage,
    buildImage: buildImageName,
    compilerImage,
    progress: process.stderr,
  });
  const { size } = await stat(output);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  say(
    `${relative(process.cwd(), output)}: ${name}, linux/${arch}, ${(size / 1e6).toFixed(0)} MB, ${seconds} s`,
  );
}

function options() {
  const { values } = parseArgs({
    options: {
      arch: { type: "string", default: ownArchitecture() },
      "base-image": { type: "string" },
      "build-image": { type: "string" },
      "compiler-image": { type: "string" },
      output: { type: "string", default: join(REPOSITORY, "dist", "agent-image.tar") },
      help: { type: "boolean", short: "h" },
    },
  });
  return values;
}

function architecture(name: string): Architecture {
  if (name === "amd64" || name === "arm64") return name;
  throw new Error(`--arch ${name}: amd64 or arm64`);
}

await main().catch((error: Error) => {
  say(error.message);
  process.exitCode = 1;
});
