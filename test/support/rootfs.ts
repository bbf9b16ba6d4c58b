import { existsSync, readFileSync, realpathSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { execa } from "execa";
import { cached, contentHash, withLock } from "./cache.ts";
import { ensurePackages } from "./debian.ts";
import { writeImageArchive } from "./image-archive.ts";
import { step } from "./progress.ts";

/** The image that tests build theirs on, and run echo servers and clients in. */
export const BASE_IMAGE = "localhost/magic-ip-address-base:bookworm";

export const SUITE = "bookworm";
// usr-is-merged: without it Debian takes usrmerge, and with that the whole of Perl.
const PACKAGES = [
  "ca-certificates",
  "conntrack",
  "iproute2",
  "iptables",
  "libstdc++6",
  "nftables",
  "usr-is-merged",
];
const LEFT_OUT = ["man", "doc", "locale", "info", "lintian"].map(
  (part) => `path-exclude=/usr/share/${part}/*`,
);
// Variant `minbase` and not `extract`: only a system that was configured has alternatives, and so an `iptables`.
const DEBOOTSTRAP = [
  "--variant=minbase",
  "--mode=root",
  "--quiet",
  `--include=${PACKAGES.join(",")}`,
  "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
  ...["force-unsafe-io", ...LEFT_OUT].map((option) => `--dpkgopt=${option}`),
];
const AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt";
export const SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
// The plainest way to store images: it needs no kernel feature. Builds on the base image have to use the same.
const STORAGE = ["--storage-driver", "vfs"];
export const RECIPE_LABEL = "magic-ip-address.recipe";

/** A Debian root file system as a tar, with nft, iptables, conntrack, Node and npm; made once. */
export async function baseRootfs(): Promise<string> {
  return rootfsOf(await hostParts());
}

/** The root file system as `BASE_IMAGE` among buildah's images, and as a docker-archive for `loadImage`: returns its path. */
export async function baseImage(): Promise<string> {
  const parts = await hostParts();
  const recipe = recipeOf(parts);
  const layer = await rootfsOf(parts);
  const directory = await cached(`base-image-${recipe}`, (draft) =>
    step(`write image ${BASE_IMAGE}`, () => {
      const image = { name: BASE_IMAGE, layer, environment: [SEARCH_PATH], command: ["node"] };
      return writeImageArchive({ ...image, labels: { [RECIPE_LABEL]: recipe } }, join(draft, "image.tar"));
    }),
  );
  const archive = join(directory, "image.tar");
  await giveToBuildah(BASE_IMAGE, archive, recipe);
  return archive;
}

/** What comes from this machine instead of from Debian. */
interface HostParts {
  node: string;
  nodeVersion: string;
  npm: string;
  npmVersion: string;
  /** Certificate authorities that the machine trusts beyond Debian's, as npm needs them too. */
  authorities: string | undefined;
}

async function hostParts(): Promise<HostParts> {
  const nodePackage = createRequire(import.meta.url).resolve("node/package.json");
  const npm = npmDirectory();
  return {
    node: join(dirname(nodePackage), "bin", "node"),
    nodeVersion: versionIn(nodePackage),
    npm,
    npmVersion: versionIn(join(npm, "package.json")),
    authorities: await authoritiesOfNpm(),
  };
}

/** npm is wherever its command leads to; `npm root -g` would take half a second to say so. */
function npmDirectory(): string {
  const places = (process.env.PATH ?? "").split(delimiter).map((directory) => join(directory, "npm"));
  const command = places.find((place) => existsSync(place));
  if (!command) throw new Error("npm is not on the PATH, and the base image takes it from there");
  return dirname(dirname(realpathSync(command)));
}

async function authoritiesOfNpm(): Promise<string | undefined> {
  const { stdout } = await execa("npm", ["config", "get", "cafile"], { stderr: "ignore", reject: false });
  const file = [stdout.trim(), AUTHORITIES].find((name) => name !== "null" && existsSync(name));
  return file === undefined ? undefined : readFileSync(file, "utf8");
}

function versionIn(file: string): string {
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** Names the content; where on this machine the parts come from does not matter. */
function recipeOf({ nodeVersion, npmVersion, authorities }: HostParts): string {
  const hooks = hooksFor({ node: nodeVersion, npm: npmVersion, authorities }, "");
  return contentHash(SUITE, process.arch, ...DEBOOTSTRAP, ...hooks, authorities ?? "");
}

async function rootfsOf(parts: HostParts): Promise<string> {
  const directory = await cached(`rootfs-${SUITE}-${recipeOf(parts)}`, async (draft) => {
    await ensurePackages(["mmdebstrap"]);
    await step(`make a Debian ${SUITE} root file system with Node ${parts.nodeVersion}`, () =>
      debootstrap(parts, join(draft, "rootfs.tar")),
    );
  });
  return join(directory, "rootfs.tar");
}

async function debootstrap(parts: HostParts, tar: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), "magic-ip-rootfs-"));
  try {
    await writeFile(join(work, "authorities"), parts.authorities ?? "");
    await writeFile(join(work, "npmrc"), `cafile=${AUTHORITIES}\n`);
    const hooks = hooksFor(parts, work).map((hook) => `--customize-hook=${hook}`);
    await execa("mmdebstrap", [...DEBOOTSTRAP, ...hooks, SUITE, tar], { stdin: "ignore" });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** What mmdebstrap does at the end; of its own hooks, `upload` is for a file and `copy-in` for a directory. */
function hooksFor(
  { node, npm, authorities }: Pick<HostParts, "node" | "npm" | "authorities">,
  work: string,
): string[] {
  const hooks = [
    `upload ${node} /usr/bin/node`,
    'chmod 755 "$1/usr/bin/node"',
    'mkdir -p "$1/usr/lib/node_modules" "$1/usr/etc"',
    `copy-in ${npm} /usr/lib/node_modules`,
    'ln -s ../lib/node_modules/npm/bin/npm-cli.js "$1/usr/bin/npm"',
    'ln -s ../lib/node_modules/npm/bin/npx-cli.js "$1/usr/bin/npx"',
    'rm -rf "$1/var/cache/apt" "$1/var/lib/apt/lists"',
  ];
  if (authorities === undefined) return hooks;
  return [...hooks, `upload ${work}/authorities ${AUTHORITIES}`, `upload ${work}/npmrc /usr/etc/npmrc`];
}

/** Gives an image that has its recipe as label to buildah, in place of an earlier one of its name. */
export async function giveToBuildah(name: string, archive: string, recipe: string): Promise<void> {
  await ensurePackages(["buildah"]);
  await withLock("buildah-base-image", async () => {
    const earlier = await imageInBuildah(name);
    if (earlier?.recipe === recipe) return;
    await step(`give image ${name} to buildah`, () =>
      buildah(["pull", "--quiet", `docker-archive:${archive}`]),
    );
    // Fails, rightly, when something was built on it.
    if (earlier) await buildah(["rmi", earlier.id]).catch(() => {});
  });
}

async function imageInBuildah(name: string): Promise<{ recipe: string; id: string } | undefined> {
  const format = `{{ index .OCIv1.Config.Labels "${RECIPE_LABEL}" }} {{ .FromImageID }}`;
  const found = await buildah(["inspect", "--type", "image", "--format", format, name]).catch(() => "");
  const [recipe, id] = found.trim().split(" ");
  return recipe && id ? { recipe, id } : undefined;
}

async function buildah(args: string[]): Promise<string> {
  return (await execa("buildah", [...STORAGE, ...args], { stdin: "ignore" })).stdout;
}
