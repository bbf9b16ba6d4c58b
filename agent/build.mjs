// Bundles the agent into one file, dist/agent/main.mjs: the image needs no node_modules, and one file loads in half the time.
// Beside it go the licenses of the packages inside it, which whoever hands the image on has to pass along, and their
// bill of materials (CycloneDX).
import { execFile } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";

const repository = fileURLToPath(new URL("..", import.meta.url));

const { metafile } = await build({
  absWorkingDir: repository,
  entryPoints: ["agent/main.ts"],
  outfile: "dist/agent/main.mjs",
  bundle: true,
  // debug asks for it where it is installed, as it is with the repository's own tools. No image has it.
  external: ["supports-color"],
  alias: { undici: "./agent/undici.mjs" },
  platform: "node",
  format: "esm",
  target: "node24",
  // A third less source to keep in memory. Identifiers stay: stack traces can be read, and esbuild's keepNames would
  // cost 6 MB at run time.
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "none",
  // CommonJS dependencies call require, which an ES module does not have.
  banner: {
    js: 'import { createRequire as bundleRequire } from "node:module"; const require = bundleRequire(import.meta.url);',
  },
  logLevel: "warning",
  metafile: true,
});

const [[file, { bytes, inputs }]] = Object.entries(metafile.outputs);
const inside = Object.keys(inputs).filter((input) => inputs[input].bytesInOutput > 0);
const packages = [...new Set(inside.flatMap(packageOf))].sort();
const manifests = await Promise.all(packages.map(manifestOf));
const licenses = await Promise.all(packages.map(licenseOf));
await writeFile(join(repository, "dist/agent/LICENSES.txt"), licenses.join("\n\n"));
await writeFile(
  join(repository, "dist/agent/sbom.cdx.json"),
  `${JSON.stringify(await billOfMaterials(), undefined, 2)}\n`,
);

console.log(`${file}: ${(bytes / 1e6).toFixed(1)} MB, ${packages.length} packages inside`);

/** The directory of the package that a file belongs to: `node_modules/@scope/name`. */
function packageOf(file) {
  return /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? [];
}

async function manifestOf(directory) {
  return JSON.parse(await readFile(join(repository, directory, "package.json"), "utf8"));
}

async function licenseOf(directory) {
  const { name, version, license } = await manifestOf(directory);
  const entries = await readdir(join(repository, directory));
  const file = entries.find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? await readFile(join(repository, directory, file), "utf8") : `License: ${license}\n`;
  return `${name} ${version}\n${"=".repeat(name.length + 1 + version.length)}\n${text}`;
}

/** What npm knows of the agent's packages, without those of which nothing is in the bundle. The same sources, the same text. */
async function billOfMaterials() {
  const options = ["--sbom-format", "cyclonedx", "--package-lock-only", "--workspace", "agent"];
  const { stdout } = await promisify(execFile)("npm", ["sbom", ...options], {
    cwd: repository,
    maxBuffer: 2 ** 26,
  });
  // Number and time would make each build another one.
  const { $schema, bomFormat, specVersion, version, metadata, components, dependencies } = JSON.parse(stdout);
  const isAgent = (reference) => /^magic-ip-address-agent@/.test(reference);
  const agent = components.find((component) => isAgent(component["bom-ref"]));
  const inBundle = new Set(manifests.map(({ name, version }) => `${name}@${version}`));
  const isInside = (reference) => isAgent(reference) || inBundle.has(reference);
  const known = new Set(components.map((component) => component["bom-ref"]));
  const unknown = [...inBundle].filter((reference) => !known.has(reference));
  if (unknown.length > 0)
    throw new Error(
      `package-lock.json does not have ${unknown.join(", ")}, which node_modules has: run npm ci`,
    );
  return {
    ...{ $schema, bomFormat, specVersion, version },
    // npm calls a workspace by its directory.
    metadata: { component: { ...agent, name: agent["bom-ref"].replace(/@.*/, "") }, tools: metadata.tools },
    components: components.filter(({ "bom-ref": reference }) => inBundle.has(reference)),
    dependencies: dependencies
      .filter(({ ref }) => isInside(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter(isInside) })),
  };
}
