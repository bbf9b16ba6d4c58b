import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CommandError, command } from "../../agent/netfilter/command.ts";

/** A tool that does what this shell script does. */
function tool(script: string): string {
  const file = join(mkdtempSync(join(tmpdir(), "magic-ip-")), "tool");
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

async function failureOf(file: string): Promise<CommandError> {
  const error: unknown = await command(file, ["list"]).catch((error: unknown) => error);
  if (error instanceof CommandError) return error;
  throw new Error("the tool did not fail");
}

describe("a tool of the node", () => {
  it("gets its input and gives its output", async () => {
    expect(await command(tool("cat"), [], "table inet x")).toBe("table inet x");
  });

  it("that is missing is named", async () => {
    const { fault, message } = await failureOf("/nowhere/nft");
    expect(fault).toBe("MISSING");
    expect(message).toBe("/nowhere/nft is not installed on this node's image");
  });

  it("that fails is quoted, with its exit code", async () => {
    const { fault, message, exitCode } = await failureOf(tool("echo 'Error: syntax' >&2; exit 3"));
    expect(fault).toBe("FAILED");
    expect(exitCode).toBe(3);
    expect(message).toMatch(/tool list failed: Error: syntax$/);
  });

  it("that lacks a capability comes with the remedy", async () => {
    const { message } = await failureOf(
      tool("echo 'Operation not permitted (you must be root)' >&2; exit 1"),
    );
    expect(message).toContain("the agent needs the capability NET_ADMIN and hostNetwork");
  });

  it("that crashes is told from one that fails", async () => {
    const { fault, message } = await failureOf(tool("kill -SEGV $$"));
    expect(fault).toBe("CRASHED");
    expect(message).toContain("SIGSEGV");
  });

  it("may take no more memory than the agent's container has room for, and is named when it needs more", async () => {
    expect(await command(tool("ulimit -d"), [])).toBe("65536");
    const { fault, message } = await failureOf(
      tool("echo 'utils.c:38: Memory allocation failure' >&2; exit 2"),
    );
    expect(fault).toBe("MEMORY");
    expect(message).toMatch(/tool needs more than 64 MiB for what others have on this node$/);
  });

  it("that leaves its output to a child is not waited for, either", async () => {
    const started = performance.now();
    const { fault } = await failureOf(tool("sleep 20 & exit 0"));
    expect(fault).toBe("TIMEOUT");
    expect(performance.now() - started).toBeLessThan(9_000);
  });

  it("that hangs is ended, even when it does not listen", async () => {
    const { fault, message } = await failureOf(tool("trap '' TERM; while :; do sleep 0.1; done"));
    expect(fault).toBe("TIMEOUT");
    expect(message).toContain("did not finish within 5 s");
  });
});
