import { fileURLToPath } from "node:url";
import { instance } from "@viz-js/viz";
import { cruise, type ICruiseResult } from "dependency-cruiser";

/** What the check's configuration says of the house; it is JavaScript, as its tool wants it. */
interface House {
  rooms: { name: string; path: string; what: string }[];
  default: { options: object };
}

const configuration: string = "../../.dependency-cruiser.mjs";
const { rooms, default: house } = (await import(configuration)) as House;
const root = fileURLToPath(new URL("../../", import.meta.url));

/** Grey that can be read on white and on black; the text follows the reader's choice. */
const line = "#7c8594";
const style = `<style>text { fill: #1f2933 } @media (prefers-color-scheme: dark) { text { fill: #e4e7eb } }</style>`;

/** The rooms of the agent as a drawing, with an arrow for each import that no way over other rooms stands for. */
export async function houseDrawing(): Promise<string> {
  const viz = await instance();
  const drawing = viz.renderString(graph(reduced(await imports())), { format: "svg" });
  const [head = "", body = ""] = drawing.split(/(?<=<svg[^>]*>)/);
  return `${head}\n${style}${body}`.replace(/<!--.*?-->\n/gs, "");
}

/** By room, those that it imports. */
async function imports(): Promise<Map<string, Set<string>>> {
  const { output } = await cruise(["agent", "component/address"], {
    ...house.options,
    baseDir: root,
    outputType: "json",
  });
  const { modules } = JSON.parse(output as string) as ICruiseResult;
  const found = new Map(rooms.map(({ name }) => [name, new Set<string>()]));
  for (const { source, dependencies } of modules) {
    const from = roomOf(source);
    for (const { resolved } of dependencies) {
      const to = roomOf(resolved);
      if (from !== undefined && to !== undefined && to !== from) found.get(from)?.add(to);
    }
  }
  return found;
}

function roomOf(file: string): string | undefined {
  return rooms.find(({ path }) => new RegExp(path).test(file))?.name;
}

/** Without the imports that another room imports, too. */
function reduced(imports: Map<string, Set<string>>): [string, string][] {
  const reaches = (from: string, to: string): boolean =>
    [...(imports.get(from) ?? [])].some((next) => next === to || reaches(next, to));
  return [...imports].flatMap(([from, all]) =>
    [...all]
      .filter((to) => ![...all].some((other) => other !== to && reaches(other, to)))
      .map((to): [string, string] => [from, to]),
  );
}

function graph(arrows: [string, string][]): string {
  const boxes = rooms.map(({ name, what }) => `"${name}" [label="${name}\\n${what}"]`);
  const floors = rooms
    .slice(1)
    .map(({ name }, index) => `"${rooms[index]?.name}" -> "${name}" [style=invis]`);
  return `digraph {
    bgcolor="transparent"; ranksep=.25
    node [shape=box, style=rounded, color="${line}", fontname="Helvetica,Arial,sans-serif", fontsize=11, width=5.5]
    edge [color="${line}", arrowsize=.7]
    ${[...boxes, ...floors, ...arrows.map(([from, to]) => `"${from}" -> "${to}"`)].join("\n    ")}
  }`;
}
