import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { runAgent } from "./agent.ts";
import { connectApi } from "./api.ts";
import { type Callee, CalleeError, calleesOf, callPatiently, parseCallee } from "./call.ts";
import { cleanNode } from "./cleanup.ts";
import { type Config, ConfigError, configFromEnvironment, instancePattern, parseConfig } from "./config.ts";
import { desired } from "./desired.ts";
import { endTimes } from "./ending.ts";
import { flowKinds } from "./kernel.ts";
import { flowTable } from "./flows.ts";
import { createLog } from "./log.ts";
import { chooseBackend, everyBackend } from "./netfilter/choice.ts";
import { commandUntil } from "./netfilter/command.ts";
import { Conntrack } from "./netfilter/conntrack.ts";
import { Monitor } from "./netfilter/monitor.ts";
import { NodeObserver } from "./netfilter/node.ts";
import { nodeTables } from "./netfilter/tables.ts";
import { parsePods } from "./podlist.ts";
import type { NodeFacts } from "./node.ts";
import { listPods } from "./pods.ts";
import { reconcile } from "./reconcile.ts";
import { ruleset } from "./ruleset/nftables.ts";
import { changes } from "./status.ts";
import { doctor, preflight } from "./preflight.ts";
import { version } from "./version.ts";

/** What a command says to the person who called it, and how the process ends. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
}

const usageExit = 2;

/**
 * Runs the command line and returns the exit code: 0 done, 2 the arguments or the configuration are wrong, 1 anything
 * else.
 */
export async function runCli(argv: string[], env: NodeJS.ProcessEnv, terminal: Terminal): Promise<number> {
  try {
    await createProgram(env, terminal).parseAsync(argv, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageExit;
    if (error instanceof UnwellError) return 1;
    terminal.err(`${error instanceof Error ? error.message : error}\n`);
    const isUsage = [ConfigError, UsageError, CalleeError].some((kind) => error instanceof kind);
    return isUsage ? usageExit : 1;
  }
}

/** Arguments that are well formed but cannot be meant. */
class UsageError extends Error {}

/** What the doctor found, or a call, is said already. */
class UnwellError extends Error {}

function createProgram(env: NodeJS.ProcessEnv, { out, err }: Terminal): Command {
  const program = new Command("magic-ip-address-agent")
    .description(
      "Keeps the magic IP addresses of one Kubernetes node: static IPs that lead every pod to the target pod on its own node.",
    )
    .version(version)
    .exitOverride()
    .configureOutput({ writeOut: out, writeErr: err })
    .addHelpText("after", environmentHelp);

  const configured = (name: string, summary: string) =>
    program
      .command(name)
      .description(summary)
      .option(
        "-c, --config <file>",
        "YAML or JSON file with the addresses; without it the environment is read",
      );

  configured("run", "watch the pods of this node and keep the rules in step (the DaemonSet's command)")
    .option("-n, --node <name>", "this node's name (default: NODE_NAME, else the host name)")
    .action(async (options: Options) => run(await loadConfig(options, env), nodeName(options, env), env));

  configured("once", "list the pods of this node, bring the rules up to date, print what leads where, end")
    .option("-n, --node <name>", "this node's name (default: NODE_NAME, else the host name)")
    .action(async (options: Options) =>
      out(await once(await loadConfig(options, env), nodeName(options, env))),
    );

  configured(
    "plan",
    "print the ruleset for a configuration and a list of pods; needs neither a cluster nor root",
  )
    .requiredOption("-p, --pods <file>", "pods as `kubectl get pods -o yaml` (or json) prints them")
    .option("-n, --node <name>", "the node to plan for (default: the only one that the pods are on)")
    .option("-u, --uplink <interface>", "the node's interface to the outside (default: eth0)")
    .action(async (options: PlanOptions) => plan(await loadConfig(options, env), options, { out, err }));

  configured(
    "doctor",
    "name what on this node would make traffic fail, with the remedies; changes nothing",
  ).action(async (options: Options) => {
    const named = options.config !== undefined || env.MAGIC_IP;
    const { text, ok } = await doctor(named ? await loadConfig(options, env) : undefined);
    out(text);
    if (!ok) throw new UnwellError();
  });

  addNodeCommands(program, env, out);
  return program;
}

/** What needs no configuration. */
function addNodeCommands(program: Command, env: NodeJS.ProcessEnv, out: Terminal["out"]): void {
  program
    .command("cleanup")
    .description("remove what an installation left on this node: its table and the flows to its magic IPs")
    .option(
      "-i, --instance <name>",
      "the installation, <namespace>.<release> (default: INSTANCE)",
      instanceName,
    )
    .option("-a, --all", "every installation of magic IP addresses on this node")
    .action(async (options: CleanupOptions) => cleanup(options, env, out));

  program
    .command("call")
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

interface Options {
  config?: string;
  node?: string;
}

interface PlanOptions extends Options {
  pods: string;
  uplink?: string;
}

interface CallOptions {
  config?: string;
  udp?: boolean;
  timeout?: number;
  wait?: number;
}

interface CleanupOptions {
  instance?: string;
  all?: boolean;
}

async function run(config: Config, node: string, env: NodeJS.ProcessEnv): Promise<void> {
  const log = createLog(config.verbose, node);
  const ending = new AbortController();
  // Not once: while a tool runs, a library of ours ends the process at a signal that nobody else listens to.
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => ending.abort());
  const tools = new AbortController();
  ending.signal.addEventListener("abort", () => {
    setTimeout(() => (tools.abort(), nodeTables.end()), endTimes.tools).unref();
    // Whatever else may hang.
    setTimeout(() => process.exit(1), endTimes.process).unref();
  });
  const onNode = commandUntil(tools.signal);
  const { POD_NAMESPACE: namespace, DAEMONSET_NAME: daemonSet, INSTALLATION_NAME: installation } = env;
  const named = installation ? { installation } : {};
  const home = namespace && daemonSet ? { namespace, daemonSet, ...named } : undefined;
  const observer = new NodeObserver(node);
  const nodeFacts = (podIps?: string[]) => observer.look(podIps);
  const choosing = nodeFacts().then((facts) => chooseBackend(config, facts, onNode));
  const choice = await choosing.catch((error: unknown) => {
    if (!ending.signal.aborted) throw error;
  });
  if (choice === undefined) return log.info("ending before the beginning, the rules stay");
  const { backend, reason } = choice;
  log.info(`the rules are held by ${backend.name}: ${reason}`);
  const examine = (podIps: string[]) => preflight(config, onNode, undefined, podIps);
  const parts = {
    config,
    nodeName: node,
    home,
    api: connectApi(),
    backend,
    everyBackend,
    monitor: new Monitor(config.instance),
    nodeFacts,
    examine,
    // The chart's startup probe reads it in /proc/1/comm, where no process but this one can write it.
    holdsHealthPort: () => void (process.title = "magic-ip-agent"),
    log,
  };
  const flows = new Conntrack();
  await runAgent({ ...parts, flows }, ending.signal);
  flows.end();
}

async function once(config: Config, nodeName: string): Promise<string> {
  const pods = await listPods(connectApi(), config, nodeName);
  const node = await new NodeObserver(nodeName).look(pods.flatMap(({ ips }) => ips));
  const { backend } = await chooseBackend(config, node);
  const claims = await backend.claims(config.instance);
  const pass = { config, node, pods, claims, last: undefined, intact: false, settle: true };
  const { state } = await reconcile(pass, backend);
  if (backend.shortfall !== undefined) throw new Error(backend.shortfall);
  const flows = new Conntrack();
  const table = flowTable({ states: [state] });
  for (const kind of flowKinds) await flows.pass(kind, table);
  flows.end();
  return `${changes(undefined, state.bindings, state.problems).join("\n")}\n`;
}

async function plan(config: Config, options: PlanOptions, { out, err }: Terminal): Promise<void> {
  const pods = parsePods(await readText(options.pods), options.pods);
  const name = options.node ?? onlyNode(pods.map((pod) => pod.nodeName));
  const state = desired(config, plannedNode(name, options.uplink), pods);
  out(ruleset(state));
  for (const { message } of state.problems) err(`${message}\n`);
}

/** A node as most of them are; the agent looks at its own. */
function plannedNode(name: string, uplink = "eth0"): NodeFacts {
  return { name, uplinks: [uplink], bridgeNetfilter: { ipv4: true, ipv6: true } };
}

function onlyNode(nodeNames: string[]): string {
  const [first = "", ...others] = [...new Set(nodeNames)];
  if (others.length === 0) return first;
  throw new UsageError(
    `the pods are on several nodes: say for which to plan with --node (${[first, ...others].join(", ")})`,
  );
}

async function cleanup(
  { instance, all }: CleanupOptions,
  env: NodeJS.ProcessEnv,
  out: Terminal["out"],
): Promise<void> {
  const named = instance ?? env.INSTANCE;
  if (!all && !named)
    throw new UsageError("say which installation: --instance <namespace>.<release>, or --all");
  const only = all || !named ? undefined : instanceName(named);
  const flows = new Conntrack();
  const { text, faults } = await cleanNode(only, await everyBackend(), flows);
  flows.end();
  out(text);
  if (faults.length === 0) return;
  const what = faults.map(({ part, error }) => `  ${part}: ${error.message}`).join("\n");
  throw new Error(`the node may not be clean, for not all of it could be looked at or removed:\n${what}`);
}

async function call(addresses: string[], options: CallOptions, out: Terminal["out"]): Promise<void> {
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

/** The instance becomes part of an nft identifier, so it is held to the configuration's rule here too. */
function instanceName(text: string): string {
  if (instancePattern.test(text)) return text;
  throw new UsageError(
    `"${text}" is no installation: write letters, digits, "." and "-" only, as kube-system.dd-agent`,
  );
}

async function loadConfig({ config }: Options, env: NodeJS.ProcessEnv): Promise<Config> {
  return config === undefined ? configFromEnvironment(env) : parseConfig(await readText(config), config);
}

async function readText(file: string): Promise<string> {
  return readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === "ENOENT" ? "there is no such file" : error.message;
    throw new UsageError(`${file} cannot be read: ${reason}`);
  });
}

function nodeName({ node }: Options, env: NodeJS.ProcessEnv): string {
  return node ?? (env.NODE_NAME || hostname());
}
