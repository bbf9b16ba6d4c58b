/** A value of any type as a message shows it: at most 60 characters. */
export function shown(value: unknown): string {
  const text = textOf(value);
  return text.length <= 60 ? text : `${text.slice(0, 59)}…`;
}

/**
 * JSON where JSON can represent the value. It cannot represent Infinity or 1n, and shows Maps and Dates as other types.
 */
function textOf(value: unknown): string {
  const kind = Object.prototype.toString.call(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number") return String(value);
  if (typeof value === "object" && !["[object Object]", "[object Array]", "[object Null]"].includes(kind))
    return kind;
  try {
    const json = JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? `${part}n` : part));
    // JSON.stringify returns undefined for a function or a symbol, although its type says string.
    return typeof json === "string" ? json : String(value);
  } catch {
    // The value contains itself, or a part of it throws, as Pulumi's Outputs do.
    return kind;
  }
}
