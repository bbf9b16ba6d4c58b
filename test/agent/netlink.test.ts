import { describe, expect, it } from "vitest";
import type { Ending } from "../../agent/netfilter/command.ts";
import { Netlink, type NetlinkError } from "../../agent/netfilter/netlink.ts";

/** A program that answers as a test says; `starts` and `ends` count its lives. */
class Program {
  starts = 0;
  ends = 0;
  said = "";

  constructor(
    readonly act: (text: string, heard: (text: string) => void, ended: (how: Ending) => void) => void,
  ) {}

  client(patience = 5_000): Netlink {
    return new Netlink("rules", {
      patience,
      start: (_file, _args, heard, ended) => {
        this.starts++;
        const say = (text: string) => {
          this.said += text;
          setImmediate(() => this.act(text, heard, ended));
        };
        return { say, end: () => void this.ends++ };
      },
    });
  }
}

const idOf = (text: string) => text.split(" ")[0];
const faultOf = (asked: Promise<unknown>) =>
  asked.then(
    () => undefined,
    (error: NetlinkError) => [error.fault, error.message],
  );

describe("a program that stays", () => {
  it("is asked one thing at a time, and its lines go to whom they answer", async () => {
    const program = new Program((text, heard) => {
      const id = idOf(text);
      heard(`{"id":${id},"n":1}\n{"id":${id},`);
      setImmediate(() => heard(`"n":2}\n{"id":99,"n":3}\n{"id":${id},"ok":true,"all":7}\n`));
    });
    const client = program.client();
    const lines: unknown[] = [];
    const answers = await Promise.all(
      ["one", "two"].map((word) => client.request([word], undefined, ({ n }) => lines.push([word, n]))),
    );
    expect(answers.map(({ all }) => all)).toEqual([7, 7]);
    expect(lines).toEqual([
      ["one", 1],
      ["one", 2],
      ["two", 1],
      ["two", 2],
    ]);
    expect([program.starts, program.ends]).toEqual([1, 0]);
  });

  it("gets a payload of any length, with its end", async () => {
    const program = new Program((text, heard) => {
      if (text.endsWith(".\n")) heard('{"id":1,"ok":true}\n');
    });
    await program.client().request(
      ["change", "t"],
      Array.from({ length: 9_000 }, (_, index) => `add s ${index}`),
    );
    const lines = program.said.split("\n");
    expect([lines.length, lines[0], lines[9_000], lines[9_001]]).toEqual([
      9_003,
      "1 change t",
      "add s 8999",
      ".",
    ]);
  });

  it.each([
    ["does not answer", () => {}, "TIMEOUT", "did not answer within 0.05 s and was ended"],
    [
      "talks nonsense",
      (_: string, heard: (text: string) => void) => heard("}{\n"),
      "FAILED",
      "no line of JSON",
    ],
    [
      "says a line without an end",
      (_: string, heard: (text: string) => void) => heard("x".repeat(70_000)),
      "FAILED",
      "no line of JSON",
    ],
    [
      "crashes",
      (_: string, _heard: unknown, ended: (how: Ending) => void) => ended({ signal: "SIGSEGV" }),
      "CRASHED",
      "was ended by SIGSEGV",
    ],
    [
      "ends",
      (_: string, _heard: unknown, ended: (how: Ending) => void) => ended({ exitCode: 2 }),
      "FAILED",
      "ended with exit code 2",
    ],
    [
      "is not there",
      (_: string, _heard: unknown, ended: (how: Ending) => void) => ended({ code: "ENOENT" }),
      "MISSING",
      "is not installed on this node's image",
    ],
  ])("and %s fails the request, and is started anew for the next", async (_, act, fault, sentence) => {
    const program = new Program(act);
    const client = program.client(50);
    const failures = await Promise.all([faultOf(client.request(["one"])), faultOf(client.request(["two"]))]);
    for (const failure of failures) expect(failure).toEqual([fault, expect.stringContaining(sentence)]);
    expect(program.starts).toBe(2);
  });

  it("and refuses a request says the kernel's word, and goes on", async () => {
    const program = new Program((text, heard) =>
      heard(`{"id":${idOf(text)},"error":"EPERM","message":"Operation not permitted"}\n`),
    );
    const client = program.client();
    await expect(client.request(["tables"])).rejects.toMatchObject({
      fault: "FAILED",
      code: "EPERM",
      message:
        "magic-ip-netlink tables failed: Operation not permitted (the agent needs the capability NET_ADMIN and hostNetwork)",
    });
    await expect(client.request(["tables"])).rejects.toMatchObject({ code: "EPERM" });
    expect([program.starts, program.ends]).toEqual([1, 0]);
  });
});
