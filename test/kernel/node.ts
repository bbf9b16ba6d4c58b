import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { ensurePackages } from "../support/debian.ts";

const clients = fileURLToPath(new URL("../clients/", import.meta.url));

/** What one call from a namespace came back with. */
export interface Answer {
  pod?: string;
  client?: string;
  error?: string;
  /** When it was called, milliseconds since 1970. */
  at?: number;
  milliseconds: number;
}

/**
 * A node made of network namespaces: a bridge with pods, as CNI's bridge plugin makes it, and an uplink to an outside
 * host that is the default gateway, so that a packet that leaks can be seen. Nothing of it touches the machine's own
 * network.
 */
export class TestNode {
  #namespaces: string[] = [];
  #servers: ChildProcess[] = [];
  #nextPod = 2;

  private constructor(readonly id: string) {}

  static async create(): Promise<TestNode> {
    await ensurePackages(["nftables", "conntrack", "iproute2", "tcpdump"]);
    const node = new TestNode(`mip${process.pid}${Math.floor(Math.random() * 1000)}`);
    await node.#addNode();
    return node;
  }

  /** Adds a pod and returns its IP. */
  async addPod(name: string): Promise<string> {
    const address = `10.9.0.${this.#nextPod++}`;
    await this.#addNamespace(name);
    await this.#connect(name, `v${this.#nextPod}`, address);
    await this.in(name, ["ip", "route", "add", "default", "via", "10.9.0.1"]);
    return address;
  }

  /** Starts an echo server in a pod; it answers with the pod's name. */
  async serve(pod: string, port: number): Promise<void> {
    const server = spawn("nsenter", [`--net=${this.path(pod)}`, process.execPath, `${clients}echo.mjs`], {
      env: { ...process.env, POD: pod, PORT: String(port) },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#servers.push(server);
    await once(server.stdout, "data");
  }

  /** Calls an address once from a pod, or from the node itself. */
  async call(from: string, transport: "tcp" | "udp", address: string, port: number): Promise<Answer> {
    const { stdout } = await this.in(from, [
      process.execPath,
      `${clients}call.mjs`,
      transport,
      address,
      String(port),
    ]);
    return JSON.parse(stdout) as Answer;
  }

  /** Calls every `interval` ms from one socket or with new connections, until ended. */
  callAll(from: string, transport: "tcp" | "udp", address: string, port: number, interval: number) {
    const args = [process.execPath, `${clients}call.mjs`, transport, address, String(port), String(interval)];
    return new Calls(this.in(from, args, { reject: false }));
  }

  /** Loads a transaction into the node's kernel. */
  async load(ruleset: string): Promise<void> {
    await this.in("node", ["nft", "-f", "-"], { input: ruleset });
  }

  /** Counts the packets to an address that leave through the uplink while `during` runs. */
  async leaks(address: string, during: () => Promise<unknown>): Promise<number> {
    const watching = this.in("outside", ["tcpdump", "-i", "uplink", "-nn", "-l", "dst", "host", address]);
    await once(watching.stderr as NodeJS.ReadableStream, "data");
    await during();
    await new Promise((resolve) => setTimeout(resolve, 200));
    watching.kill("SIGINT");
    const { stdout } = await watching;
    return stdout.split("\n").filter(Boolean).length;
  }

  /** Runs a program of the machine with the namespace's network. */
  in(namespace: string, argv: string[], options: { input?: string; reject?: boolean } = {}) {
    return execa("nsenter", [`--net=${this.path(namespace)}`, ...argv], { input: "", ...options });
  }

  /** Takes a pod's namespace away, as when its node is done with it. */
  async removePod(name: string): Promise<void> {
    await execa("ip", ["netns", "delete", this.#name(name)]);
    this.#namespaces = this.#namespaces.filter((namespace) => namespace !== name);
  }

  async remove(): Promise<void> {
    for (const server of this.#servers) server.kill("SIGKILL");
    for (const namespace of this.#namespaces) await execa("ip", ["netns", "delete", this.#name(namespace)]);
  }

  path(namespace: string): string {
    return `/run/netns/${this.#name(namespace)}`;
  }

  #name(namespace: string): string {
    return `${this.id}-${namespace}`;
  }

  async #addNamespace(namespace: string): Promise<void> {
    await execa("ip", ["netns", "add", this.#name(namespace)]);
    this.#namespaces.push(namespace);
    await this.in(namespace, ["ip", "link", "set", "lo", "up"]);
  }

  async #addNode(): Promise<void> {
    await this.#addNamespace("node");
    await this.#addNamespace("outside");
    const node = (...argv: string[]) => this.in("node", argv);
    await node("sysctl", "-qw", "net.ipv4.ip_forward=1");
    await node("ip", "link", "add", "cni0", "type", "bridge");
    await node("ip", "address", "add", "10.9.0.1/24", "dev", "cni0");
    await node("ip", "link", "set", "cni0", "up");
    await node(
      "ip",
      "link",
      "add",
      "uplink",
      "type",
      "veth",
      "peer",
      "name",
      "uplink",
      "netns",
      this.#name("outside"),
    );
    await node("ip", "address", "add", "192.0.2.10/24", "dev", "uplink");
    await node("ip", "link", "set", "uplink", "up");
    await this.in("outside", ["ip", "address", "add", "192.0.2.1/24", "dev", "uplink"]);
    await this.in("outside", ["ip", "link", "set", "uplink", "up"]);
    await node("ip", "route", "add", "default", "via", "192.0.2.1");
    // As kubelet's network plugins demand; a bridge's packets then pass the node's netfilter.
    await node("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1");
  }

  async #connect(pod: string, link: string, address: string): Promise<void> {
    const node = (...argv: string[]) => this.in("node", argv);
    await node("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", this.#name(pod));
    await node("ip", "link", "set", link, "master", "cni0", "up");
    await node("bridge", "link", "set", "dev", link, "hairpin", "on");
    await this.in(pod, ["ip", "address", "add", `${address}/24`, "dev", "eth0"]);
    await this.in(pod, ["ip", "link", "set", "eth0", "up"]);
  }
}

/** Calls that go on. */
class Calls {
  readonly answers: Answer[] = [];
  #reading: Promise<void>;

  constructor(readonly running: ReturnType<TestNode["in"]>) {
    this.#reading = this.#read();
  }

  /** Waits until a call, from now on, comes back like this. */
  async next(expected: (answer: Answer) => boolean): Promise<Answer> {
    const from = this.answers.length;
    for (let waited = 0; waited < 10_000; waited += 5) {
      const found = this.answers.slice(from).find(expected);
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`no such answer came within 10 s; the last: ${JSON.stringify(this.answers.at(-1))}`);
  }

  /** Ends the calls; returns what each came back with. */
  async end(): Promise<Answer[]> {
    this.running.kill("SIGTERM");
    await this.#reading;
    return this.answers;
  }

  async #read(): Promise<void> {
    for await (const line of this.running) this.answers.push(JSON.parse(line) as Answer);
  }
}
