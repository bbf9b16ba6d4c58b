/** The parts of an image reference, as fields of the chart's values. */
export interface Image {
  repository: string;
  tag?: string;
  digest?: string;
}

const component = "[a-z0-9]+(?:[._-]+[a-z0-9]+)*";
const registry = "[a-zA-Z0-9][a-zA-Z0-9.-]*(?::[0-9]+)?";
const reference = new RegExp(
  `^(?<repository>(?:${registry}/)?${component}(?:/${component})*)` +
    "(?::(?<tag>[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$",
);

/**
 * Reads `[registry[:port]/]repository[:tag][@sha256:digest]`; undefined when the text is not that. A colon before the
 * last slash is a registry's port, not a tag. Grammar: distribution/reference, `reference.go`.
 */
export function parseImage(text: string): Image | undefined {
  const { repository, tag, digest } = reference.exec(text)?.groups ?? {};
  if (repository === undefined) return undefined;
  return { repository, ...(tag && { tag }), ...(digest && { digest }) };
}
