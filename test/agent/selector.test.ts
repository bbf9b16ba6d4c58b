import { describe, expect, it } from "vitest";
import { matchesSelector, parseSelector } from "../../component/address/selector.ts";

const matches = (selector: string, labels: Record<string, string>) =>
  matchesSelector(parseSelector(selector), labels);

describe("a selector as for kubectl -l", () => {
  it.each([
    ["app=dd-agent", { app: "dd-agent" }, true],
    ["app==dd-agent", { app: "dd-agent" }, true],
    ["app=dd-agent", { app: "other" }, false],
    ["app=dd-agent,tier=apm", { app: "dd-agent" }, false],
    ["app = dd-agent , tier = apm", { app: "dd-agent", tier: "apm" }, true],
    ["app!=web", { app: "dd-agent" }, true],
    ["app!=web", {}, true],
    ["app in (a, b),x", { app: "b", x: "" }, true],
    ["app notin (a,b)", { app: "a" }, false],
    ["app notin (a,b)", {}, true],
    ["app.kubernetes.io/name", { "app.kubernetes.io/name": "" }, true],
    ["!canary", { canary: "1" }, false],
    ["!canary", {}, true],
    ["! canary", { canary: "1" }, false],
    ["empty=", { empty: "" }, true],
    ["constructor", {}, false],
  ])("%s on %j is %s", (selector, labels, expected) => {
    expect(matches(selector, labels as Record<string, string>)).toBe(expected);
  });

  it.each([
    ["", "is empty"],
    [" ", "is empty"],
    ["a b", "no requirement"],
    ["app=a,,x=y", "nothing between two commas"],
    ["app in a", "no requirement"],
    ["app in (a", "no requirement"],
    ["a>5", "> and < are not served"],
    ["a\u00a0=b", "no label key"],
    ["-app=a", "no label key"],
    ["a/b/c=d", "no label key"],
    ['app="x"', "no label value"],
    ["app=a;drop", "no label value"],
    [`app=${"x".repeat(64)}`, "no label value"],
    ["app=a\ntable=b", "no"],
  ])("%j is refused: %s", (selector, reason) => {
    expect(() => parseSelector(selector)).toThrow(reason);
  });
});
