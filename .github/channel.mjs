// Prints where a version stands among the tags on standard input, as outputs of a job: `git tag | node .github/channel.mjs 1.2.3`.
//
//   channel  npm's dist-tag: `latest`; `next` for a pre-release; `latest-1.2` for a fix of 1.2 when 1.3 is there already
//   mark     what `gh release create` is told: GitHub shows one release as the latest
//
// npm refuses to publish a pre-release, or a version below the latest, without a dist-tag; it comes after image and chart.
import { readFileSync } from "node:fs";

const [version = ""] = process.argv.slice(2);
// No "+": the tag of an image cannot hold it.
if (parse(version) === undefined) {
  console.error(
    `"${version}" is no version that can be released: write 1.2.3, or 1.2.3-rc.1 for a pre-release`,
  );
  process.exit(1);
}
const tags = readFileSync(0, "utf8").split("\n");
const released = tags.flatMap((tag) => (tag.startsWith("v") ? (parse(tag.slice(1)) ?? []) : []));
const { channel, mark } = placeOf(parse(version), released);
console.log(`channel=${channel}\nmark=${mark}`);

function parse(text) {
  const number = "(0|[1-9][0-9]*)";
  const part = "(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)";
  const pattern = new RegExp(`^${number}\\.${number}\\.${number}(-${part}(\\.${part})*)?$`);
  const [, major, minor, patch, pre] = pattern.exec(text) ?? [];
  return major === undefined
    ? undefined
    : { numbers: [major, minor, patch].map(Number), isPre: pre !== undefined };
}

function placeOf({ numbers, isPre }, released) {
  if (isPre) return { channel: "next", mark: "--prerelease" };
  if (released.some((other) => !other.isPre && isAbove(other.numbers, numbers)))
    return { channel: `latest-${numbers[0]}.${numbers[1]}`, mark: "--latest=false" };
  return { channel: "latest", mark: "--latest" };
}

function isAbove(one, other) {
  const differs = one.findIndex((number, index) => number !== other[index]);
  return differs >= 0 && one[differs] > other[differs];
}
