// Writes into the sources what only a release knows, where it is and which digest its image has:
// `GITHUB_SERVER_URL=… GITHUB_REPOSITORY=… IMAGE_DIGEST=sha256:… node .github/stamp.mjs`.
// package.json gets the repository, without which npm takes no provenance; the chart, and the documents that go with chart and
// package, get the image that the release pushes in place of the name that `npm run image` makes, the chart also its digest.
import { readFileSync, writeFileSync } from "node:fs";

const { GITHUB_SERVER_URL: server = "", GITHUB_REPOSITORY: repository = "" } = process.env;
const { IMAGE_DIGEST: digest = "" } = process.env;
if (!/^https:\/\/[^/]+$/.test(server)) fail([`GITHUB_SERVER_URL is "${server}", not as https://github.com`]);
if (!/^[\w.-]+\/[\w.-]+$/.test(repository))
  fail([`GITHUB_REPOSITORY is "${repository}", not OWNER/REPOSITORY`]);
if (!/^sha256:[0-9a-f]{64}$/.test(digest))
  fail([`IMAGE_DIGEST is "${digest}", not sha256: and 64 hexadecimal digits`]);

const local = "magic-ip-address-agent";
const owners = `ghcr.io/${repository.split("/", 1)[0].toLowerCase()}/`;
const image = `${owners}${local}`;
const { version } = JSON.parse(read("package.json"));
const home = `${server}/${repository}`;
const authors = "  - name: The magic-ip-address authors\n";

const replacements = [
  ["component/chart/values.yaml", `\n  repository: ${local}\n`, `\n  repository: ${image}\n`],
  ["component/chart/values.schema.json", `"default": "${local}"`, `"default": "${image}"`],
  ["component/chart/Chart.yaml", ` image: ${local}:${version}`, ` image: ${image}:${version}@${digest}`],
  [
    "component/chart/Chart.yaml",
    "\nannotations:\n",
    `\nannotations:\n  magic-ip-address/image: ${image}@${digest}\n`,
  ],
  [
    "component/chart/Chart.yaml",
    "\ntype: application\n",
    `\ntype: application\nhome: ${home}\nsources:\n  - ${home}\n`,
  ],
  ["component/chart/Chart.yaml", authors, `${authors}    url: ${home}\n`],
  ["component/chart/README.md", `"${local}"`, `"${image}"`],
  ["component/chart/README.md", "ghcr.io/OWNER/", owners],
  // Programs in other languages get their documentation from it.
  ["component/agent.ts", `\`${local}:<version>\``, `\`${image}:<version>\``],
  ["component/README.md", `\`${local}:<version>\``, `\`${image}:<version>\``],
  ["README.md", "ghcr.io/OWNER/", owners],
  ["README.md", "https://github.com/OWNER/REPOSITORY/", `${home}/`],
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
  homepage: `${home}#readme`,
  bugs: { url: `${home}/issues` },
  repository: { type: "git", url: `git+${home}.git` },
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
