import type { Command } from "commander";
import { runAgent } from "../agent.ts";
import { connectApi } from "../kubernetes/api.ts";
import type { Config } from "../config/config.ts";
import { endTimes } from "../sync/ending.ts";
import { createLog } from "../log.ts";
import { chooseBackend, everyBackend } from "../netfilter/choice.ts";
import { commandUntil } from "../netfilter/command.ts";
import { Conntrack } from "../netfilter/conntrack.ts";
import { Monitor } from "../netfilter/monitor.ts";
import { NodeObserver } from "../netfilter/node.ts";
import { nodeTables } from "../netfilter/tables.ts";
import { preflight } from "../doctor/preflight.ts";
import { loadConfig, nodeName, type Options, type Surroundings } from "./terminal.ts";

export function addRun(command: Command, { env }: Surroundings): void {
  command
    .description("watch the pods of this node and keep the rules in step (the DaemonSet's command)")
    .option("-n, --node <name>", "this node's name (default: NODE_NAME, else the host name)")
    .action(async (options: Options) => run(await loadConfig(options, env), nodeName(options, env), env));
}

async function run(config: Config, node: string, env: NodeJS.ProcessEnv): Promise<void> {
  const log = createLog(config.verbose, node);
  const ending = new AbortController();
  // Not `once`: while a tool runs, a library of ours ends the process at a signal that has no other listener.
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => ending.abort());
  const tools = new AbortController();
  ending.signal.addEventListener("abort", () => {
    setTimeout(() => (tools.abort(), nodeTables.end()), endTimes.tools).unref();
    // Ends the process even if something else hangs.
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
