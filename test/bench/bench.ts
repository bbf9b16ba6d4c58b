// Prints the figures that the project has aims for. Ratios are of medians of what was measured in turns, in one run.
import { parseArgs } from "node:util";
import { attach, type Cluster, down, up } from "../cluster/cluster.ts";
import { say } from "../support/progress.ts";
import { clusterip } from "./clusterip.ts";
import { type Figure, figureTable } from "./figure.ts";
import { memory } from "./memory.ts";
import { scale } from "./scale.ts";
import { traffic } from "./traffic.ts";

const HELP = `Measures the speed and the size of the agent and of its rules, and prints each figure beside its aim.

usage: npm run bench [-- PART... [--minutes N]]

  traffic    throughput, connections and requests through the magic IP ÷ straight to the pod
  scale      1,000 addresses × 10 ports: full sync, one target changed, the agent's memory
  clusterip  a new connection through the magic IP ÷ through a ClusterIP of kube-proxy
  memory     the agent's memory after an hour's 720 replacements of a target
               --minutes N   spread them over so many minutes; default 0: ten a second

Without a PART all of them, for about six minutes. It needs root, and is at its best on a machine that does nothing else.
All but traffic start a cluster beside others (MAGIC_IP_CLUSTER=bench, unless another one is named) and remove it.

exit codes: 0 measured, whatever the figures are · 1 failed · 2 wrong usage · 130 interrupted`;

const USAGE_ERROR = 2;
const INTERRUPTED = 130;

process.env.MAGIC_IP_CLUSTER ??= "bench";
process.on("SIGINT", () => {
  say("interrupted; MAGIC_IP_CLUSTER=bench npm run cluster -- down removes its cluster");
  process.exit(INTERRUPTED);
});

/** In the order in which they run: the longest comes last. */
const parts: Record<string, (cluster: () => Promise<Cluster>, minutes: number) => Promise<Figure[]>> = {
  traffic: () => traffic(),
  scale: async (cluster) => scale(await cluster()),
  clusterip: async (cluster) => clusterip(await cluster()),
  memory: async (cluster, minutes) => memory(await cluster(), minutes),
};

async function main(args: string[]): Promise<number> {
  let command: { names: string[]; minutes: number } | undefined;
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
    await measure(command.names, command.minutes);
    return 0;
  } catch (error) {
    say((error as Error).stack ?? String(error));
    return 1;
  }
}

function parse(args: string[]): { names: string[]; minutes: number } | undefined {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { help: { type: "boolean", short: "h" }, minutes: { type: "string", default: "0" } },
  });
  if (values.help) return undefined;
  const unknown = positionals.find((name) => !Object.hasOwn(parts, name));
  if (unknown !== undefined) throw new Error(`${unknown} is no part: ${Object.keys(parts).join(", ")}`);
  const minutes = Number(values.minutes);
  if (!(minutes >= 0)) throw new Error(`--minutes: ${values.minutes} is not a number of minutes`);
  return { names: positionals.length > 0 ? positionals : Object.keys(parts), minutes };
}

async function measure(names: string[], minutes: number): Promise<void> {
  const own = new OwnCluster();
  const figures: Figure[] = [];
  try {
    for (const [name, part] of Object.entries(parts))
      if (names.includes(name)) figures.push(...(await part(() => own.get(), minutes)));
  } finally {
    if (figures.length > 0) console.log(figureTable(figures));
    await own.remove();
  }
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
