import { ExecaError, execa } from "execa";

/** Why a tool of the node did not do its work. */
export type CommandFault = "MISSING" | "FAILED" | "TIMEOUT" | "CRASHED";

/** A tool that failed, in one sentence, with what it said. */
export class CommandError extends Error {
  override name = "CommandError";

  constructor(
    readonly fault: CommandFault,
    readonly exitCode: number | undefined,
    readonly stderr: string,
    message: string,
    cause: unknown,
  ) {
    super(message, { cause });
  }
}

/** Runs a tool without a shell and returns what it prints. @throws {CommandError} */
export type Command = (file: string, args: string[], input?: string) => Promise<string>;

/** Milliseconds after which a tool is killed; the slowest ruleset that was measured took a tenth of it. */
const deadline = 5_000;

/** Runs a tool of this node. */
export const command: Command = async (file, args, input) => {
  try {
    const options = { timeout: deadline, forceKillAfterDelay: 500, env: { LC_ALL: "C" } };
    const result = await execa(
      file,
      args,
      input === undefined ? { ...options, stdin: "ignore" } : { ...options, input },
    );
    return result.stdout;
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error;
    throw commandError(file, args, error);
  }
};

function commandError(file: string, args: string[], error: ExecaError): CommandError {
  const stderr = String(error.stderr ?? "").trim();
  const fault = faultOf(error);
  const sentences: Record<CommandFault, string> = {
    MISSING: `${file} is not installed on this node's image`,
    TIMEOUT: `${file} did not finish within ${deadline / 1000} s and was ended`,
    CRASHED: `${file} was ended by ${error.signal}`,
    FAILED: `${file} ${args.join(" ")} failed: ${stderr.split("\n")[0] || `exit code ${error.exitCode}`}${remedy(stderr)}`,
  };
  return new CommandError(fault, error.exitCode, stderr, sentences[fault], error);
}

function faultOf(error: ExecaError): CommandFault {
  if (error.code === "ENOENT") return "MISSING";
  if (error.timedOut) return "TIMEOUT";
  return error.isTerminated ? "CRASHED" : "FAILED";
}

/** The tools never call setlocale, so their English is stable. */
function remedy(stderr: string): string {
  if (/operation not permitted/i.test(stderr))
    return " (the agent needs the capability NET_ADMIN and hostNetwork)";
  if (/cache initialization failed|protocol not supported/i.test(stderr))
    return " (the node's kernel lacks nf_tables)";
  return "";
}
