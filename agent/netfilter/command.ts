import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { ExecaError, execa } from "execa";

/** Why a tool of the node did not do its work. */
export type CommandFault = "MISSING" | "FAILED" | "TIMEOUT" | "CRASHED" | "MEMORY" | "ABORTED";

/** The failure of a tool: one sentence, and what the tool printed as its error. */
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

/**
 * Runs a tool and returns its output. No shell interprets the arguments. `keep` selects the lines to return, so that
 * the other lines of a long listing take no memory. @throws {CommandError}
 */
export type Command = (
  file: string,
  args: string[],
  input?: string,
  keep?: (line: string) => boolean,
) => Promise<string>;

/** Milliseconds after which a tool is killed; the slowest ruleset measured took a tenth of that. */
const deadline = 5_000;

/**
 * Kilobytes of data (RLIMIT_DATA) that a tool may take. How much it needs depends on what other software has on the
 * node. Without this limit the kernel would kill the agent's container, which may take 160 MiB, 70 to 90 MB of them for
 * the agent itself. nft 1.0.6 takes 42 MB beside 96,000 rules of kube-proxy.
 */
const dataLimit = 64 * 1024;

/** Characters of a tool's output that are kept: the routes of a node with 8,000 links take a third of them. */
const longestOutput = 8 * 1024 * 1024;

/** Bytes that nft may take for each byte of rules from the agent: it needs 60 MB for the 1.6 MB of 10,000 bindings. */
const bytesPerInput = 50;

/** The shell sets the limit and then becomes the tool by exec: 2 ms. */
const limited = 'ulimit -d "$0"; exec "$@"';

/** Runs a tool of this node. */
export const command: Command = (...given) => runTool(undefined, ...given);

/** The same until the signal aborts: then the running tool is killed, and no other one is started. */
export function commandUntil(signal: AbortSignal): Command {
  return (...given) => runTool(signal, ...given);
}

async function runTool(
  cancelSignal: AbortSignal | undefined,
  ...[file, args, input, keep]: Parameters<Command>
): Promise<string> {
  try {
    const cancel = cancelSignal === undefined ? {} : { cancelSignal };
    const limits = {
      ...{ timeout: deadline, forceKillAfterDelay: 500, maxBuffer: longestOutput },
      ...{ env: { LC_ALL: "C" }, ...cancel },
    };
    const options = keep === undefined ? limits : { ...limits, stdout: kept(keep) };
    const kilobytes = dataLimit + Math.ceil(((input?.length ?? 0) * bytesPerInput) / 1024);
    const running = execa(
      "/bin/sh",
      ["-c", limited, String(kilobytes), file, ...args],
      input === undefined ? { ...options, stdin: "ignore" } : { ...options, input },
    );
    return (await inTime(file, running, cancelSignal)).stdout;
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error;
    throw commandError(file, args, error);
  }
}

/**
 * Stops waiting for a killed tool that does not end, because it hangs in the kernel or left its output open to a child
 * process.
 */
async function inTime<T>(file: string, running: Promise<T>, cancelSignal?: AbortSignal): Promise<T> {
  running.catch(() => {});
  const waiting = new AbortController();
  const { signal } = waiting;
  const overdue = delay(deadline + 1_000, undefined, { signal }).then(() => {
    throw new CommandError("TIMEOUT", undefined, "", timeoutSentence(file), undefined);
  });
  overdue.catch(() => {});
  const aborted = new Promise<never>((_resolve, reject) => {
    const give = () => reject(new CommandError("ABORTED", undefined, "", abortedSentence(file), undefined));
    cancelSignal?.addEventListener("abort", give, { once: true, signal });
  });
  return await Promise.race([running, overdue, aborted]).finally(() => waiting.abort());
}

function abortedSentence(file: string): string {
  return `${file} was ended because the agent ends`;
}

function timeoutSentence(file: string): string {
  return `${file} did not finish within ${deadline / 1000} s and was ended`;
}

/** The lines of an output that are kept. */
function kept(keep: (line: string) => boolean) {
  return function* (line: unknown) {
    if (typeof line === "string" && keep(line)) yield line;
  };
}

/** A tool that keeps running and takes commands line by line. */
export interface Conversation {
  say(text: string): void;
  /** Ends the tool. */
  end(): void;
}

/** How a tool ended. `code`: the error of its start, as ENOENT. */
export interface Ending {
  code?: string;
  exitCode?: number;
  signal?: string;
}

/** Starts such a tool. `heard` gets its output; `ended` is called when it has ended or could not be started. */
export type Converse = (
  file: string,
  args: string[],
  heard: (text: string) => void,
  ended: (how: Ending) => void,
) => Conversation;

/**
 * Starts a tool of this node that keeps running. When the agent ends for any reason, the tool's input ends, and so does
 * the tool. The tool does not keep the agent from ending.
 */
export const converse: Converse = (file, args, heard, ended) => {
  // Not execa: its child would keep the agent from ending.
  const child: ChildProcess = spawn(file, args, { stdio: ["pipe", "pipe", "ignore"] });
  // If the process has no file descriptors left, there are no pipes either; `error` reports that.
  child.stdout?.setEncoding("utf8").on("data", heard);
  // An error of writing to a tool that has just ended is ignored: `ended` follows.
  child.stdin?.on("error", () => {});
  child.on("error", (error: NodeJS.ErrnoException) => ended({ code: error.code ?? "unknown" }));
  child.on("close", (exitCode, signal) =>
    ended({ ...(exitCode === null ? {} : { exitCode }), ...(signal === null ? {} : { signal }) }),
  );
  for (const handle of [child, child.stdin as Socket | null, child.stdout as Socket | null]) handle?.unref();
  return { say: (text) => child.stdin?.write(text), end: () => child.kill("SIGKILL") };
};

function commandError(file: string, args: string[], error: ExecaError): CommandError {
  const stderr = String(error.stderr ?? "").trim();
  const fault = faultOf(error, stderr);
  const sentences: Record<CommandFault, string> = {
    MISSING: `${file} is not installed on this node's image`,
    TIMEOUT: timeoutSentence(file),
    CRASHED: `${file} was ended by ${error.signal}`,
    MEMORY: `${file} needs more than ${dataLimit / 1024} MiB for what others have on this node`,
    ABORTED: abortedSentence(file),
    FAILED: `${file} ${args.join(" ")} failed: ${stderr.split("\n")[0] || `exit code ${error.exitCode}`}${remedy(stderr)}`,
  };
  return new CommandError(fault, error.exitCode, stderr, sentences[fault], error);
}

function faultOf(error: ExecaError, stderr: string): CommandFault {
  // The shell's exit code and message for ENOENT.
  if (error.exitCode === 127 && stderr.includes("not found")) return "MISSING";
  if (error.timedOut) return "TIMEOUT";
  if (/memory allocation (failure|problem)/i.test(stderr)) return "MEMORY";
  if (error.isCanceled) return "ABORTED";
  return error.isTerminated ? "CRASHED" : "FAILED";
}

/** The tools never call setlocale, so their English is stable. */
export function remedy(stderr: string): string {
  if (/operation not permitted/i.test(stderr))
    return " (the agent needs the capability NET_ADMIN and hostNetwork)";
  if (/cache initialization failed|protocol not supported/i.test(stderr))
    return " (the node's kernel lacks nf_tables)";
  return "";
}
