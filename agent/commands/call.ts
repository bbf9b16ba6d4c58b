import { type Command, InvalidArgumentError } from "commander";
import { parseConfig } from "../config/config.ts";
import { type Callee, calleesOf, callPatiently, parseCallee } from "./calling.ts";
import { readText, type Surroundings, UnwellError, UsageError } from "./terminal.ts";

interface CallOptions {
  config?: string;
  udp?: boolean;
  timeout?: number;
  wait?: number;
}

export function addCall(command: Command, { out }: Surroundings): void {
  command
    .description("call addresses as a client would, and say whether they answer; needs no rights")
    .argument(
      "[addresses...]",
      "IP:port, as 169.254.210.210:8126, or with the protocol, as [fd00:210::210]:8125/udp",
    )
    .option("-c, --config <file>", "call every single port of TCP and UDP of this configuration, too")
    .option(
      "-u, --udp",
      "call by UDP where no protocol is written; that a datagram is not refused is an answer",
    )
    .option("-t, --timeout <time>", "how long to wait for an answer, as 500ms (default: 2s)", duration)
    .option(
      "-w, --wait <time>",
      "how long to call again what does not answer, as 30s (default: not)",
      duration,
    )
    .action(async (addresses: string[], options: CallOptions) => call(addresses, options, out));
}

async function call(addresses: string[], options: CallOptions, out: Surroundings["out"]): Promise<void> {
  const { udp, timeout = 2_000, wait = 0 } = options;
  const written = addresses.map((address) => parseCallee(address, udp ? "udp" : "tcp"));
  const callees = [...written, ...(await configuredCallees(options.config))];
  if (callees.length === 0) throw new UsageError("nothing to call: write IP:port, or --config <file>");
  const answers = await Promise.all(
    callees.map(async (callee) => {
      const answer = await callPatiently(callee, timeout, wait);
      out(`${answer.text}\n`);
      return answer;
    }),
  );
  if (!answers.every(({ answered }) => answered)) throw new UnwellError();
}

async function configuredCallees(file: string | undefined): Promise<Callee[]> {
  if (file === undefined) return [];
  const callees = calleesOf(parseConfig(await readText(file), file));
  if (callees.length > 0) return callees;
  throw new UsageError(`${file} has no single port of TCP or UDP, and nothing else can be called`);
}

function duration(text: string): number {
  const [, number, unit] = /^(\d+)(ms|s|m)$/.exec(text) ?? [];
  const milliseconds = Number(number) * { ms: 1, s: 1_000, m: 60_000 }[unit as "ms" | "s" | "m"];
  if (milliseconds > 0 && milliseconds < 86_400_000) return milliseconds;
  throw new InvalidArgumentError("write a number with its unit, as 500ms, 2s or 1m.");
}
