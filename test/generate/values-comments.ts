import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from "yaml";

/** One value of the chart, as `# --` explains it in values.yaml. */
export interface ExplainedValue {
  /** With dots, as `image.tag`. */
  path: string;
  /** The first paragraph of the comment. */
  text: string;
  default: unknown;
}

/** The explained values in their order; what stands below one that has no explanation of its own belongs to it. */
export function explainedValues(yaml: string): ExplainedValue[] {
  const { contents } = parseDocument(yaml);
  if (!isMap(contents)) throw new Error("values.yaml is no mapping");
  return within(contents, "");
}

function within(map: YAMLMap, prefix: string): ExplainedValue[] {
  return map.items.flatMap((pair, index) => {
    // The comment above a map's first key belongs to the map.
    const comment = commentOf(pair) ?? (index === 0 ? map.commentBefore : undefined);
    const path = `${prefix}${String(pair.key)}`;
    const text = explanation(comment ?? "");
    if (text !== undefined) return [{ path, text, default: plain(pair.value) }];
    return isMap(pair.value) ? within(pair.value, `${path}.`) : [];
  });
}

function commentOf({ key }: Pair): string | null | undefined {
  return isScalar(key) ? key.commentBefore : undefined;
}

/** From the last " --" on, to the first line that is empty or indented. */
function explanation(comment: string): string | undefined {
  const text = comment.split(/^ -- /m).slice(1).at(-1);
  const [paragraph] = text?.split(/\n(?: {2,}| ?\n|\n)/) ?? [];
  return paragraph?.replace(/\s*\n\s*/g, " ").trim();
}

function plain(value: unknown): unknown {
  if (isScalar(value)) return value.value;
  return value !== null && typeof value === "object" && "toJSON" in value
    ? (value as YAMLMap).toJSON()
    : value;
}
