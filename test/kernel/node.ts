import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Command } from "../../agent/netfilter/command.ts";
import type { Mode, Netlink } from "../../agent/netfilter/netlink.ts";
import type { NodeFacts } from "../../agent/desired/node.ts";
import { ensurePackages } from "../support/debian.ts";
import { type Answer, Caller, type Request, type Transport } from "./caller.ts";
import { Calls } from "./calls.ts";
import { Namespaces } from "./namespaces.ts";
import { type Sighting, sightingsTable, takeSightings, watchSightings } from "./sightings.ts";
import { addNode, connectPod, nodeIps, type PodNetwork } from "./topology.ts";

const echo = fileURLToPath(new URL("../clients/echo.mjs", import.meta.url));

/** What differs from node to node, and what the agent does not change. */
export interface Switches {
  /** Whether packets between two ports of a bridge pass netfilter, as kubelet's network plugins demand. */
  bridgeNetfilter: { ipv4: boolean; ipv6: boolean };
  /** Reverse path filter of the node and its pods: none, strict, loose. */
  reversePathFilter: 0 | 1 | 2;
  /** Whether conntrack picks up TCP connections from their middle. */
  tcpLoose: boolean;
  forwarding: { ipv4: boolean; ipv6: boolean };
}

const usual: Switches = {
  bridgeNetfilter: { ipv4: true, ipv6: true },
  reversePathFilter: 0,
  tcpLoose: true,
  forwarding: { ipv4: true, ipv6: true },
};

/**
 * One process instead of six, hundreds of times. Of the legacy tables only those that are there: to ask for others would
 * make them.
 */
const clearing = `
nft -f -
for family in ip ip6; do
  tables=$(cat /proc/net/\${family}_tables_names 2>/dev/null || true)
  [ -z "$tables" ] || printf '*%s\\nCOMMIT\\n' $tables | \${family}tables-legacy-restore -w 5
done
conntrack -F
`;

/**
 * A node made of network namespaces, with an IPv4 and an IPv6 address everywhere: pods on a bridge, on routed veths and
 * on the host network, and an outside host. `node` and `outside` are callers like the pods.
 */
export class TestNode {
  readonly #namespaces = new Namespaces();
  readonly #networks = new Map<string, PodNetwork>();
  readonly #servers: ChildProcess[] = [];
  readonly #callers = new Map<string, Caller>();
  #switches = usual;
  #lastPod = 1;

  /** Runs tools as the node's agent does. */
  readonly command: Command = this.#namespaces.command("node");
  readonly tables = this.#namespaces.tables("node");

  private constructor() {}

  /** The agent's netlink program on the node. */
  netlink(mode: Mode): Netlink {
    return this.#namespaces.netlink("node", mode);
  }

  static async create(switches: Partial<Switches> = {}): Promise<TestNode> {
    await ensurePackages(["nftables", "iptables", "conntrack", "iproute2", "iputils-ping", "tcpdump"]);
    const node = new TestNode();
    await addNode(node.#namespaces);
    await watchSightings(node.#namespaces, "node");
    await node.set({ ...usual, ...switches });
    return node;
  }

  /** What the agent finds out about the node. */
  get facts(): NodeFacts {
    const { bridgeNetfilter, tcpLoose } = this.#switches;
    return { name: "node-1", uplinks: ["uplink"], bridgeNetfilter, tcpLoose };
  }

  /** Changes how the node is set up; what is not named stays. */
  async set(switches: Partial<Switches>): Promise<void> {
    const before = this.#switches;
    this.#switches = { ...before, ...switches };
    const { bridgeNetfilter, reversePathFilter, tcpLoose, forwarding } = this.#switches;
    await this.#namespaces.sysctl("node", {
      "net.bridge.bridge-nf-call-iptables": Number(bridgeNetfilter.ipv4),
      "net.bridge.bridge-nf-call-ip6tables": Number(bridgeNetfilter.ipv6),
      "net.netfilter.nf_conntrack_tcp_loose": Number(tcpLoose),
      "net.ipv4.ip_forward": Number(forwarding.ipv4),
      "net.ipv6.conf.all.forwarding": Number(forwarding.ipv6),
    });
    if (reversePathFilter === before.reversePathFilter) return;
    const filter = { "net.ipv4.conf.all.rp_filter": reversePathFilter };
    const everywhere = ["node", ...this.#podNamespaces()];
    await Promise.all(everywhere.map((name) => this.#namespaces.sysctl(name, filter)));
  }

  /** Adds a pod; returns its IPv4 and IPv6 address. */
  async addPod(name: string, network: PodNetwork = "bridge"): Promise<string[]> {
    this.#networks.set(name, network);
    if (network === "host") return nodeIps;
    await this.#namespaces.add(name);
    await watchSightings(this.#namespaces, name);
    return connectPod(this.#namespaces, name, ++this.#lastPod, network);
  }

  /** Starts an echo server in a pod; it answers with the pod's name and uid, as `pod(name)` of the states has it. */
  async serve(pod: string, ports: number[], hosts: string[] = this.#hosts(pod)): Promise<void> {
    const [file, args] = this.#namespaces.entering(this.#namespaceOf(pod));
    const place = { PORT: ports.join(), HOST: hosts.join() };
    const env = { ...process.env, ...place, POD: pod, POD_UID: `uid-${pod}` };
    const server = spawn(file, [...args, process.execPath, echo], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#servers.push(server);
    const ended = once(server, "exit").then(() => {
      throw new Error(`the echo server of ${pod} ended; what it said stands above`);
    });
    ended.catch(() => {});
    await Promise.race([once(server.stdout, "data"), ended]);
  }

  /** Calls once from a pod, from the node itself, or from the outside host. */
  call(
    from: string,
    transport: Transport,
    address: string,
    port = 0,
    options: Partial<Request> = {},
  ): Promise<Answer> {
    const namespace = this.#namespaceOf(from);
    const known = this.#callers.get(namespace);
    const caller = known ?? new Caller(this.#namespaces.entering(namespace));
    if (known === undefined) this.#callers.set(namespace, caller);
    return caller.call({ transport, address, port, ...options });
  }

  /** Calls every `interval` ms, TCP with new connections, UDP from one socket, until ended. */
  callAll(from: string, transport: Transport, address: string, port: number, interval: number): Calls {
    const entering = this.#namespaces.entering(this.#namespaceOf(from));
    return new Calls(entering, transport, address, port, interval);
  }

  /** Who sent a pod something new since this was last asked, as `10.9.0.2 tcp`. */
  sightings(pod: string): Promise<Sighting[]> {
    return takeSightings(this.#namespaces, this.#namespaceOf(pod));
  }

  /** Loads a transaction of nft into the node's kernel, as somebody else on the node would. */
  async load(ruleset: string): Promise<void> {
    await this.in("node", ["nft", "-f", "-"], { input: ruleset });
  }

  /** Counts the packets to an address that leave through the uplink while `during` runs. */
  async leaks(address: string, during: () => Promise<unknown>): Promise<number> {
    const watching = this.in("outside", [
      ...["tcpdump", "-i", "uplink", "-nn", "-l", "--immediate-mode"],
      ...["dst", "host", address],
    ]);
    await once(watching.stderr as NodeJS.ReadableStream, "data");
    await during();
    await new Promise((resolve) => setTimeout(resolve, 100));
    watching.kill("SIGINT");
    const { stdout } = await watching;
    return stdout.split("\n").filter(Boolean).length;
  }

  /** The words before a program's own that run it with the network of the node, the outside host or a pod. */
  entering(name: string): [string, string[]] {
    return this.#namespaces.entering(this.#namespaceOf(name));
  }

  /** Runs a program of the machine with the network of the node, the outside host or a pod. */
  in(name: string, argv: string[], options: { input?: string; reject?: boolean } = {}) {
    return this.#namespaces.in(this.#namespaceOf(name), argv, options);
  }

  /** Forgets every rule and every flow of the node's kernel. */
  async clear(): Promise<void> {
    await this.in("node", ["sh", "-ec", clearing], { input: `flush ruleset\n${sightingsTable}` });
  }

  /** Takes a pod's namespace away, as when its node is done with it. */
  async removePod(name: string): Promise<void> {
    this.#callers.get(name)?.stop();
    this.#callers.delete(name);
    this.#networks.delete(name);
    await this.#namespaces.delete(name);
  }

  async remove(): Promise<void> {
    for (const server of this.#servers) server.kill("SIGKILL");
    for (const caller of this.#callers.values()) caller.stop();
    await this.#namespaces.deleteAll();
  }

  #namespaceOf(name: string): string {
    return this.#networks.get(name) === "host" ? "node" : name;
  }

  /** Where a node has several addresses, UDP is answered from the one that was asked only if the server insists on it. */
  #hosts(pod: string): string[] {
    return this.#networks.get(pod) === "host" ? nodeIps : [];
  }

  #podNamespaces(): string[] {
    return [...this.#networks].filter(([, network]) => network !== "host").map(([name]) => name);
  }
}
