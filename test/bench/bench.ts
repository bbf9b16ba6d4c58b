// Prints the figures that the project has aims for. Ratios are of medians of what was measured in turns, in one run.
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { attach, type Cluster, down, up } from "../cluster/cluster.ts";
import { say } from "../support/progress.ts";
import { chaos } from "./chaos.ts";
import { clusterip } from "./clusterip.ts";
import { component } from "./component.ts";
import { type Figure, figuresJson, figureTable } from "./figure.ts";
import { handover } from "./handover.ts";
import { hostile } from "./hostile/hostile.ts";
import { kill } from "./kill.ts";
import { latency } from "./latency.ts";
import { memory } from "./memory.ts";
import { outage } from "./outage.ts";
import { replace } from "./replace.ts";
import { restart } from "./restart.ts";
import { scale } from "./scale.ts";
import { traffic } from "./traffic.ts";

const HELP = `Measures the speed and the size of the agent and of its rules, and prints each figure beside its aim.

usage: npm run bench [-- PART... [--minutes N] [--times N] [--json FILE]]

  component  a Pulumi program's start with a magic IP, beside one without; --times, default 15
  traffic    throughput, connections and requests through the magic IP ÷ straight to the pod
  scale      1,000 addresses × 10 ports: full sync, one target changed, the agent's memory
  clusterip  a new connection through the magic IP ÷ through a ClusterIP of kube-proxy
  handover   a target that rolls with maxSurge under 200 connections a second; --times, default 30
  outage     a target deleted and made anew ÷ the same through a Service of kube-proxy; --times, default 10
  replace    the table replaced, and targets changed, under load on ranges and whole IPs; --times, default 1000
  restart    the agent restarted, and its table up- and downgraded, under load; --times, default 50
  latency    a pod ready in the API → the first connection that it answers; --times, default 200
  kill       the agent killed (SIGKILL) at random moments of a sync; --times, default 1000
  chaos      random trouble of every kind; --minutes, default 20; SEED repeats a run
  hostile    what others can multiply (flows, ports, events, pods, rules, connections), with the chart's memory limit
               ONLY=words runs the attacks whose name has these words
  memory     the agent's memory after an hour's 720 replacements of a target
               --minutes N   spread them over so many minutes; default 0: ten a second

Without a PART all of them, for about six minutes. It needs root, and is at its best on a machine that does nothing else.
All but component, traffic and replace start a cluster beside others (MAGIC_IP_CLUSTER=bench, unless another one is named) and remove it.

--json FILE writes all figures with the commit, the kernel and the machine.

exit codes: 0 every aim is met · 1 failed, or an aim is missed, which is named last · 2 wrong usage · 130 interrupted`;

const USAGE_ERROR = 2;
const INTERRUPTED = 130;

process.env.MAGIC_IP_CLUSTER ??= "bench";
process.on("SIGINT", () => {
  say("interrupted; MAGIC_IP_CLUSTER=bench npm run cluster -- down removes its cluster");
  process.exit(INTERRUPTED);
});

/** How much of a part is wanted, where it has an amount. */
interface Amount {
  minutes: number | undefined;
  times: number | undefined;
}

interface Wanted {
  names: string[];
  amount: Amount;
  /** Where the figures are written to. */
  json: string | undefined;
}

/** In the order in which they run: the longest comes last. */
const parts: Record<string, (cluster: () => Promise<Cluster>, amount: Amount) => Promise<Figure[]>> = {
  component: (_cluster, { times = 15 }) => component(times),
  traffic: () => traffic(),
  scale: async (cluster) => scale(await cluster()),
  clusterip: async (cluster) => clusterip(await cluster()),
  handover: async (cluster, { times = 30 }) => handover(await cluster(), times),
  outage: async (cluster, { times = 10 }) => outage(await cluster(), times),
  replace: (_cluster, { times = 1000 }) => replace(times),
  restart: async (cluster, { times = 50 }) => restart(await cluster(), times),
  latency: async (cluster, { times = 200 }) => latency(await cluster(), times),
  kill: (_cluster, { times = 1000 }) => kill(times),
  chaos: (_cluster, { minutes = 20 }) => chaos(minutes),
  hostile: () => hostile(),
  memory: async (cluster, { minutes = 0 }) => memory(await cluster(), minutes),
};

async function main(args: string[]): Promise<number> {
  let command: Wanted | undefined;
  try {
    command = parse(args);
  } catch (error) {
    say(`${(error as Error).message}\n(npm run bench -- --help says more)`);
    return USAGE_ERROR;
  }
  if (command === undefined) {
    console.log(HELP);
    return 0;
  }
  try {
    return (await measure(command)) ? 0 : 1;
  } catch (error) {
    say((error as Error).stack ?? String(error));
    return 1;
  }
}

function parse(args: string[]): Wanted | undefined {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      minutes: { type: "string" },
      times: { type: "string" },
      json: { type: "string" },
    },
  });
  if (values.help) return undefined;
  const unknown = positionals.find((name) => !Object.hasOwn(parts, name));
  if (unknown !== undefined) throw new Error(`${unknown} is no part: ${Object.keys(parts).join(", ")}`);
  const { minutes, times, json } = values;
  const amount = { minutes: amountOf("--minutes", minutes), times: amountOf("--times", times) };
  return { names: positionals.length > 0 ? positionals : Object.keys(parts), amount, json };
}

function amountOf(option: string, text: string | undefined): number | undefined {
  const amount = text === undefined ? undefined : Number(text);
  if (amount === undefined || amount >= 0) return amount;
  throw new Error(`${option}: ${text} is not a number of ${option.slice(2)}`);
}

/** Whether no aim is missed. */
async function measure({ names, amount, json }: Wanted): Promise<boolean> {
  const own = new OwnCluster();
  const figures: Figure[] = [];
  try {
    for (const [name, part] of Object.entries(parts))
      if (names.includes(name)) figures.push(...(await part(() => own.get(), amount)));
  } finally {
    if (figures.length > 0) console.log(figureTable(figures));
    if (json !== undefined) await writeFile(json, figuresJson(figures));
    await own.remove();
  }
  const missed = figures.filter(({ ok }) => ok === false);
  for (const { name, measured, aim } of missed) say(`missed: ${name}: ${measured}, and the aim is ${aim}`);
  return missed.length === 0;
}

/** Brought up by the first part that wants it, and taken down if it was not there before. */
class OwnCluster {
  #cluster: Cluster | undefined;
  #mine = false;

  async get(): Promise<Cluster> {
    if (this.#cluster !== undefined) return this.#cluster;
    this.#mine = (await attach()) === undefined;
    this.#cluster = await up({ nodes: 1, proxyMode: "nftables" });
    return this.#cluster;
  }

  async remove(): Promise<void> {
    if (this.#mine) await down();
  }
}

process.exit(await main(process.argv.slice(2)));
