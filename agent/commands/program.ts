import { Command, CommanderError } from "commander";
import { ConfigError } from "../config/config.ts";
import { version } from "../version.ts";
import { addCall } from "./call.ts";
import { CalleeError } from "./calling.ts";
import { addCleanup } from "./cleanup.ts";
import { addDoctor } from "./doctor.ts";
import { addOnce } from "./once.ts";
import { addPlan } from "./plan.ts";
import { addRun } from "./run.ts";
import { type Surroundings, type Terminal, UnwellError, UsageError } from "./terminal.ts";

const usageExit = 2;

/** Runs the command line and returns the exit code: 0 done, 2 wrong arguments or configuration, 1 any other failure. */
export async function runCli(argv: string[], env: NodeJS.ProcessEnv, terminal: Terminal): Promise<number> {
  try {
    await createProgram({ ...terminal, env }).parseAsync(argv, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageExit;
    if (error instanceof UnwellError) return 1;
    terminal.err(`${error instanceof Error ? error.message : error}\n`);
    const isUsage = [ConfigError, UsageError, CalleeError].some((kind) => error instanceof kind);
    return isUsage ? usageExit : 1;
  }
}

/** The commands that read a configuration, and those that need none. */
const configured = { run: addRun, once: addOnce, plan: addPlan, doctor: addDoctor };
const others = { cleanup: addCleanup, call: addCall };

function createProgram(surroundings: Surroundings): Command {
  const { out, err } = surroundings;
  const program = new Command("magic-ip-address-agent")
    .description(
      "Keeps the magic IP addresses of one Kubernetes node: static IPs that lead every pod to the target pod on its own node.",
    )
    .version(version)
    .exitOverride()
    .configureOutput({ writeOut: out, writeErr: err })
    .addHelpText("after", environmentHelp);
  for (const [name, add] of Object.entries(configured)) {
    const command = program.command(name);
    command.option(
      "-c, --config <file>",
      "YAML or JSON file with the addresses; without it the environment is read",
    );
    add(command, surroundings);
  }
  for (const [name, add] of Object.entries(others)) add(program.command(name), surroundings);
  return program;
}

const environmentHelp = `
Environment of one address, read when --config is not given:
  MAGIC_IP       the magic IP, as 169.254.210.210
  MAGIC_IPV6     a second magic IP for the same targets, as fd00:210::210
  SELECTOR       label selector of the targets, as app=dd-agent
  NAMESPACE      where the targets are (default: default)
  PORT           what clients dial and the target listens on: a port, a range as 8000-8010, or "all" for the whole IP;
                 or MAGIC_PORT and TARGET_PORT where they differ
  PROTOCOL       tcp, udp or sctp (default: tcp)
  WHEN_NO_TARGET reject, drop or pass (default: reject)
  LOAD_BALANCE   1 to spread new flows over all ready targets
  BACKEND        auto, nftables or iptables (default: auto)
  POLL_INTERVAL  seconds between two relists of the pods behind the watch (default: 1800)
  INSTANCE       name of the installation, of its own for each container of a node (default: default)
  HEALTH_PORT    the health endpoints' port on the node's loopback, of its own for each, too (default: 61000)
  METRICS_PORT   /metrics on every address of the node at this port (default: none)
  NODE_NAME      this node's name
  VERBOSE        1 for debug lines

Exit codes: 0 done, 1 failed, 2 the arguments or the configuration are wrong.`;
