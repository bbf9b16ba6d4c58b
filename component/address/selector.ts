/** One requirement of a label selector, as in `metav1.LabelSelectorRequirement`. */
export interface Requirement {
  key: string;
  operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  values: string[];
}

/** A selector that cannot be read; its message says what is wrong and where. */
export class SelectorError extends Error {
  override name = "SelectorError";
}

/**
 * Reads a label selector in the syntax of `kubectl -l`: requirements joined by commas, each `key=value`, `key==value`,
 * `key!=value`, `key in (a,b)`, `key notin (a,b)`, `key` or `!key`. Not `key>1` and `key<1`.
 * Grammar and limits: apimachinery `pkg/labels/selector.go` and `validation.IsQualifiedName`/`IsValidLabelValue`.
 * An empty selector is an error here: it would make every pod of the namespace a target.
 */
export function parseSelector(text: string): Requirement[] {
  const requirements = splitRequirements(text).map(parseRequirement);
  if (requirements.length === 0) throw new SelectorError("is empty: it would select every pod");
  return requirements;
}

/** Whether the labels meet every requirement. As in Kubernetes, `!=` and `notin` also hold when the key is absent. */
export function matchesSelector(requirements: Requirement[], labels: Record<string, string>): boolean {
  return requirements.every((requirement) => holds(requirement, labels));
}

function holds({ key, operator, values }: Requirement, labels: Record<string, string>): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
  }
}

/** The text without white space at its ends, as Kubernetes' lexer defines it: fewer characters than \s. */
function trim(text: string): string {
  return text.replaceAll(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
}

/** Commas inside parentheses separate values, the others separate requirements. */
function splitRequirements(text: string): string[] {
  if (trim(text) === "") return [];
  const parts = text.split(/,(?![^(]*\))/).map(trim);
  if (parts.includes("")) throw new SelectorError(`has nothing between two commas in "${text}"`);
  return parts;
}

const requirementForms = "write key=value, key in (a,b), key or !key";

function parseRequirement(text: string): Requirement {
  if (/[<>]/.test(text))
    throw new SelectorError(`has "${text}": > and < are not served (${requirementForms})`);
  const set = /^([^ \t\r\n]+)[ \t\r\n]+(in|notin)[ \t\r\n]*\(([^()]*)\)$/.exec(text);
  if (set) {
    const values = (set[3] ?? "").split(",").map(trim);
    return requirement(set[1] ?? "", set[2] === "in" ? "In" : "NotIn", values);
  }
  const equality = /^([^ \t\r\n=!]+)[ \t\r\n]*(==|=|!=)[ \t\r\n]*([^ \t\r\n]*)$/.exec(text);
  if (equality)
    return requirement(equality[1] ?? "", equality[2] === "!=" ? "NotIn" : "In", [equality[3] ?? ""]);
  if (/^![ \t\r\n]*[^ \t\r\n=!]+$/.test(text)) return requirement(trim(text.slice(1)), "DoesNotExist", []);
  if (/^[^ \t\r\n=!()]+$/.test(text)) return requirement(text, "Exists", []);
  throw new SelectorError(`has a part that is no requirement: "${text}" (${requirementForms})`);
}

function requirement(key: string, operator: Requirement["operator"], values: string[]): Requirement {
  if (!isQualifiedName(key)) {
    throw new SelectorError(
      `has "${key}", which is no label key (letters, digits, "-", "_", ".", with an optional DNS prefix and "/")`,
    );
  }
  const wrong = values.find((value) => !isLabelValue(value));
  if (wrong !== undefined) {
    throw new SelectorError(
      `has "${wrong}", which is no label value (at most 63 letters, digits, "-", "_", ".", alphanumeric at both ends)`,
    );
  }
  return { key, operator, values };
}

/** The name of a label without its prefix, and a label's value. */
export const labelPattern = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
/** The prefix of a label's name, as example.com. */
export const dnsSubdomainPattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

function isQualifiedName(key: string): boolean {
  const parts = key.split("/");
  if (parts.length === 1) return labelPattern.test(key);
  const [prefix = "", rest = ""] = parts;
  return (
    parts.length === 2 && prefix.length <= 253 && dnsSubdomainPattern.test(prefix) && labelPattern.test(rest)
  );
}

function isLabelValue(value: string): boolean {
  return value === "" || labelPattern.test(value);
}
