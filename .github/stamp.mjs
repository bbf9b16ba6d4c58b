// Writes into the sources what only a release knows, where it is: `GITHUB_SERVER_URL=… GITHUB_REPOSITORY=… node .github/stamp.mjs`.
// package.json gets the repository, without which npm takes no provenance; the chart, and the documents that go with chart and
// package, get the image that the release pushes in place of the name that `npm run image` makes.
import { readFileSync, writeFileSync } from "node:fs";

const { GITHUB_SERVER_URL: server = "", GITHUB_REPOSITORY: repository = "" } = process.env;
if (!/^https:\/\/[^/]+$/.test(server)) fail([`GITHUB_SERVER_URL is "${server}", not as https://github.com`]);
if (!/^[\w.-]+\/[\w.-]+$/.test(repository))
  fail([`GITHUB_REPOSITORY is "${repository}", not OWNER/REPOSITORY`]);

const local = "magic-ip-address-agent";
const owners = `ghcr.io/${repository.split("/", 1)[0].toLowerCase()}/`;
const image = `${owners}${local}`;

const replacements = [
  ["component/chart/values.yaml", `\n  repository: ${local}\n`, `\n  repository: ${image}\n`],
  ["component/chart/values.schema.json", `"default": "${local}"`, `"default": "${image}"`],
  ["component/chart/Chart.yaml", ` image: ${local}:`, ` image: ${image}:`],
  ["component/chart/README.md", `"${local}"`, `"${image}"`],
  ["component/chart/README.md", "ghcr.io/OWNER/", owners],
  // Programs in other languages get their documentation from it.
  ["component/agent.ts", `\`${local}:<version>\``, `\`${image}:<version>\``],
  ["component/README.md", `\`${local}:<version>\``, `\`${image}:<version>\``],
  ["README.md", "ghcr.io/OWNER/", owners],
];

// All or nothing: a half of it would be found out by those who install it.
const texts = new Map();
const faults = [];
for (const [file, before, after] of replacements) {
  const text = texts.get(file) ?? read(file);
  if (!text.includes(before)) faults.push(`${file} has no ${JSON.stringify(before)} to replace`);
  texts.set(file, text.replaceAll(before, after));
}
if (faults.length > 0) fail(faults);

const manifest = {
  ...JSON.parse(read("package.json")),
  repository: { type: "git", url: `git+${server}/${repository}.git` },
};
texts.set("package.json", `${JSON.stringify(manifest, undefined, 2)}\n`);
for (const [file, text] of texts) writeFileSync(place(file), text);
console.log([...texts.keys()].map((file) => `stamped ${file}`).join("\n"));

function read(file) {
  return readFileSync(place(file), "utf8");
}

function place(file) {
  return new URL(`../${file}`, import.meta.url);
}

function fail(messages) {
  for (const message of messages) console.error(`stamp: ${message}`);
  process.exit(1);
}
