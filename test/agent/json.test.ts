import { describe, expect, it } from "vitest";
import { JsonReader, type Shape } from "../../agent/kubernetes/json.ts";

const text = "text" as const;

/** What is kept of the text when it comes in pieces of so many bytes. */
function kept(shape: Shape, json: string, piece: number, longest?: number): unknown[] {
  const reader = new JsonReader(shape, longest);
  const bytes = Buffer.from(json);
  const values: unknown[] = [];
  for (let at = 0; at < bytes.length; at += piece)
    values.push(...reader.read(bytes.subarray(at, at + piece)));
  expect(reader.isOpen).toBe(false);
  return values;
}

describe("of JSON that comes in pieces", () => {
  const shape: Shape = {
    fields: {
      a: text,
      list: { items: { fields: { b: text } }, most: 3 },
      'k"ey': text,
      deep: { fields: { c: text } },
    },
  };
  const strange = 'quote \" backslash \\ both \\\" line \n ü 漢 \u0001';
  const value = {
    skipped: [{ x: [strange, strange, { [strange]: "}]" }] }, "\\", '"', "", 1.5e3, null, true],
    a: strange,
    'k"ey': -1.25,
    list: [{ z: "\\\\", b: "\\" }, { b: null }, { b: false, y: {} }, { b: "too many" }],
    deep: { d: { c: "another" }, c: "漢\\" },
    b: "not asked for",
  };
  const expected = {
    a: strange,
    'k"ey': -1.25,
    list: [{ b: "\\" }, { b: null }, { b: false }],
    deep: { c: "漢\\" },
  };

  it.each([1, 2, 3, 5, 7, 64, 4_096])("of %i bytes only what the shape names is kept", (piece) => {
    const json = `${JSON.stringify(value)}\n${JSON.stringify(value, undefined, 2)} `;
    expect(kept(shape, json, piece)).toEqual([expected, expected]);
  });

  it("a value of another form than the shape's is left out", () => {
    const json = '{"a":{"b":1},"list":null,"deep":"text","k\\"ey":[1]}{"list":{"b":1},"deep":[1,[2]],"a":1}';
    expect(kept(shape, json, 5)).toEqual([{}, { a: 1 }]);
    expect(kept(shape, "[1,2]", 5)).toEqual([undefined]);
    expect(kept(shape, '"text" ', 5)).toEqual([undefined]);
  });

  it.each(["1", "100"])("names of Object's own are names like others (pieces of %s)", (piece) => {
    const json = '{"__proto__":{"a":1},"constructor":2,"toString":3,"a":4}';
    expect(kept(shape, json, Number(piece))).toEqual([{ a: 4 }]);
  });

  it("no more is kept than an object may hold, and the next one may hold as much again", () => {
    const many = Array.from({ length: 1_000 }, (_, index) => ({ b: `value ${index}` }));
    const bounded: Shape = {
      fields: {
        all: {
          items: { fields: { list: { items: { fields: { b: text } }, most: 5_000 } }, most: 4_096 },
          most: 9,
        },
      },
    };
    const [found] = kept(
      bounded,
      JSON.stringify({ all: [{ list: many }, { list: many.slice(0, 2) }] }),
      1_000,
    );
    const { all } = found as { all: { list: unknown[] }[] };
    expect(all[0]?.list.length).toBeGreaterThan(10);
    expect(JSON.stringify(all[0]).length).toBeLessThan(4_096);
    expect(all[1]?.list).toEqual(many.slice(0, 2));
  });

  it("a text that is longer than any that is needed is left out", () => {
    expect(kept(shape, JSON.stringify({ a: "x".repeat(10_000), b: 1 }), 777)).toEqual([{}]);
  });

  it.each(['{"a":nonsense}', '{"a":"\\x"}', "}", "{a:1}"])("%s is an error", (json) => {
    expect(() => kept(shape, `${json} `, 100)).toThrow(/no JSON/);
  });

  it("a value that does not end is an error when it is as long as it may be", () => {
    expect(() => kept(shape, `{"x":"${"y".repeat(1_000)}"}`, 100, 500)).toThrow(/longer than 500 bytes/);
  });
});
