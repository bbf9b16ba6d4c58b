/** The value as a message shows it: at most 60 characters, of whatever kind it is. */
export function shown(value: unknown): string {
  const text = textOf(value);
  return text.length <= 60 ? text : `${text.slice(0, 59)}…`;
}

/** JSON where JSON can say it. It has no word for Infinity and 1n, and Maps and Dates look like something else in it. */
function textOf(value: unknown): string {
  const kind = Object.prototype.toString.call(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number") return String(value);
  if (typeof value === "object" && !["[object Object]", "[object Array]", "[object Null]"].includes(kind))
    return kind;
  try {
    const json = JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? `${part}n` : part));
    // Of a function or a symbol there is none, whatever the type says.
    return typeof json === "string" ? json : String(value);
  } catch {
    // It holds itself, or a part of it refuses, as Pulumi's Outputs do.
    return kind;
  }
}
