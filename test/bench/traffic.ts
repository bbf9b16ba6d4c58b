import { fileURLToPath } from "node:url";
import { parseConfig } from "../../agent/config/config.ts";
import { desired } from "../../agent/desired/desired.ts";
import { NftablesBackend } from "../../agent/netfilter/nftables.ts";
import { pod } from "../agent/state.ts";
import { TestNode } from "../kernel/node.ts";
import { ensurePackages } from "../support/debian.ts";
import { step } from "../support/progress.ts";
import { type Figure, median, ratioAtLeast, withoutAim } from "./figure.ts";
import { labelsOf, many, manyAddresses, podIp } from "./many.ts";

const connects = fileURLToPath(new URL("../clients/connects.mjs", import.meta.url));
const throughputPort = 5201;
/**
 * One to dial straight, one through the magic IP, and one to dial straight again, which tells how much of a ratio is the
 * machine's noise. With one port they would share conntrack's entries.
 */
const ports = { straight: 9001, magic: 9002, again: 9003 };
const networks = { bridge: "169.254.210.210", routed: "169.254.210.211" } as const;
type Network = keyof typeof networks;

const turns = 3;
const throughputsATurn = 6;
/** Rounds so short that whatever else the machine does falls on both ways alike. */
const request = {
  rounds: 24,
  measures: {
    sequential: { transport: "tcp", concurrency: 1, milliseconds: 25 },
    concurrent: { transport: "tcp", concurrency: 16, milliseconds: 25 },
    udp: { transport: "udp", concurrency: 1, milliseconds: 10 },
  },
};

const names = {
  throughput: "throughput",
  sequential: "connections a second, one after another",
  concurrent: "connections a second, 16 at a time",
  udp: "UDP requests a second",
};
type Measure = keyof typeof names;
const aims: Partial<Record<Measure, number>> = { throughput: 0.97, sequential: 0.93, concurrent: 0.93 };

/** What was measured on one pod network of one node. */
type Ways = Record<keyof typeof ports, number[]>;
type Taken = Record<Measure, Ways>;

/** What the way through the magic IP costs, beside the straight one, with few bindings and with many. */
export async function traffic(): Promise<Figure[]> {
  await ensurePackages(["iperf3"]);
  const few = await Lab.create([]);
  const lots = await Lab.create(manyAddresses("others")).catch(async (error: unknown) => {
    await few.remove();
    throw error;
  });
  try {
    await step("measure traffic straight and through the magic IP", async (note) => {
      for (let turn = 1; turn <= turns; turn++) {
        note(`turn ${turn} of ${turns}`);
        for (const network of Object.keys(networks) as Network[])
          for (const lab of turn % 2 === 0 ? [few, lots] : [lots, few]) await lab.measure(network);
      }
    });
    return (Object.keys(networks) as Network[]).flatMap((network) => figuresOf(network, few, lots));
  } finally {
    await Promise.all([few.remove(), lots.remove()]);
  }
}

function figuresOf(network: Network, few: Lab, lots: Lab): Figure[] {
  return (Object.keys(names) as Measure[]).flatMap((measure) => {
    const [ofFew, ofMany] = [few, lots].map((lab) => lab.taken[network][measure]);
    if (ofFew === undefined || ofMany === undefined) return [];
    const name = `${names[measure]}, ${network} pods`;
    const aim = aims[measure];
    const one = ratio(ofFew);
    const unchanged = ratio(ofMany) / one;
    const from = `÷ straight, a few bindings: ${medians(ofFew, measure)}`;
    const fromMany = `${many.addresses * many.ports} bindings ÷ a few of this ratio: ${medians(ofMany, measure)}`;
    const twice = withoutAim(
      "  straight twice",
      noise(ofFew).toFixed(3),
      "what the machine makes of equal ways",
    );
    return aim === undefined
      ? [
          withoutAim(name, one.toFixed(3), from),
          withoutAim("  unchanged", unchanged.toFixed(3), fromMany),
          twice,
        ]
      : [ratioAtLeast(name, one, aim, from), ratioAtLeast("  unchanged", unchanged, 0.95, fromMany), twice];
  });
}

/** Of neighbours in time: on a machine that is not ours alone, rates halve and double within a run. */
function ratio({ straight, magic }: Ways): number {
  return median(magic.map((value, index) => value / (straight[index] ?? value)));
}

function noise({ straight, again }: Ways): number {
  return ratio({ straight, magic: again, again });
}

function medians({ straight, magic }: Ways, measure: Measure): string {
  const text = (values: number[]) =>
    measure === "throughput" ? (median(values) / 1e9).toFixed(1) : String(Math.round(median(values)));
  const unit = measure === "throughput" ? "Gbit/s" : "/s";
  return `${text(magic)} and ${text(straight)} ${unit}, medians of ${magic.length}`;
}

/** A node with a client and a target on either pod network, and the agent's rules. */
class Lab {
  readonly taken: Record<Network, Taken> = { bridge: nothing(), routed: nothing() };
  readonly #servers: { kill(): void }[] = [];
  readonly #ips = new Map<Network, string>();

  private constructor(readonly node: TestNode) {}

  /** `others`: addresses beside the two that are measured, for pods that are not there. */
  static async create(others: Record<string, unknown>[]): Promise<Lab> {
    const lab = new Lab(await TestNode.create());
    try {
      for (const network of Object.keys(networks) as Network[]) await lab.#addPods(network);
      await lab.#write(others);
      return lab;
    } catch (error) {
      await lab.remove();
      throw error;
    }
  }

  async measure(network: Network): Promise<void> {
    const taken = this.taken[network];
    const straight = this.#ips.get(network) ?? "";
    for (let turn = 0; turn < throughputsATurn; turn++) {
      const ways = [straight, networks[network], straight];
      // Each way comes first in its turn: a drift falls on all alike.
      for (const way of [0, 1, 2].map((index) => (index + turn) % 3)) {
        const into = [taken.throughput.straight, taken.throughput.magic, taken.throughput.again][way];
        into?.push(await this.#throughput(network, ways[way] ?? ""));
      }
    }
    const places = {
      straight: { address: straight, port: ports.straight },
      magic: { address: networks[network], port: ports.magic },
      again: { address: straight, port: ports.again },
    };
    const argv = [process.execPath, connects, "rates", JSON.stringify({ ...request, places })];
    const { stdout } = await this.node.in(`${network}-client`, argv);
    const rates = JSON.parse(stdout) as Record<Measure, Taken[Measure]>;
    for (const measure of ["sequential", "concurrent", "udp"] as const) {
      for (const way of Object.keys(ports) as (keyof Ways)[])
        taken[measure][way].push(...rates[measure][way]);
    }
  }

  async remove(): Promise<void> {
    for (const server of this.#servers) server.kill();
    await this.node.remove();
  }

  async #addPods(network: Network): Promise<void> {
    const [client, target] = [`${network}-client`, `${network}-target`];
    await this.node.addPod(client, network);
    const [ip = ""] = await this.node.addPod(target, network);
    this.#ips.set(network, ip);
    // Rules in the pods that count for tests would cost both ways the same, and so hide a part of the difference.
    for (const name of [client, target]) await this.node.in(name, ["nft", "flush", "ruleset"]);
    // Every round leaves thousands of connections that are over, to one place and one port.
    await this.node.in(client, ["sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535"]);
    const echo = [process.execPath, connects, "serve", ...Object.values(ports).map(String)];
    for (const argv of [echo, ["iperf3", "-s", "-p", String(throughputPort)]]) {
      const server = this.node.in(target, argv, { reject: false });
      this.#servers.push(server);
      if (argv === echo) await new Promise((resolve) => server.stdout.once("data", resolve));
    }
  }

  async #write(others: Record<string, unknown>[]): Promise<void> {
    const tcp = [throughputPort, ports.magic].map((port) => ({ port }));
    const addresses = Object.entries(networks).map(([network, ipAddress]) => ({
      ...{ ipAddress, namespace: "monitoring", selector: `network=${network}` },
      ports: [...tcp, { port: ports.magic, protocol: "UDP" }],
    }));
    const text = JSON.stringify({ instance: "bench", addresses: [...addresses, ...others] });
    const targets = [...this.#ips].map(([network, ip]) => pod(network, { labels: { network }, ips: [ip] }));
    const absent = Array.from({ length: many.pods }, (_, number) =>
      pod(`absent-${number}`, { namespace: "others", labels: labelsOf(number), ips: [podIp(number)] }),
    );
    await this.node.in("node", ["nft", "flush", "ruleset"]);
    await this.node.in("node", ["sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_timeout_time_wait=10"]);
    const state = desired(parseConfig(text), this.node.facts, [...targets, ...absent]);
    await new NftablesBackend(this.node.command, this.node.tables).write(state);
  }

  /** Bits a second. */
  async #throughput(network: Network, address: string): Promise<number> {
    const argv = ["iperf3", "-c", address, "-p", String(throughputPort), "-n", "100M", "-J"];
    const { stdout } = await this.node.in(`${network}-client`, argv);
    return JSON.parse(stdout).end.sum_received.bits_per_second;
  }
}

function nothing(): Taken {
  const none = () => ({ straight: [], magic: [], again: [] });
  return { throughput: none(), sequential: none(), concurrent: none(), udp: none() };
}
