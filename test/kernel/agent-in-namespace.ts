import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { runAgent } from "../../agent/agent.ts";
import type { Api } from "../../agent/kubernetes/api.ts";
import type { Config } from "../../agent/config/config.ts";
import { type Command, converse, type Converse } from "../../agent/netfilter/command.ts";
import { Conntrack } from "../../agent/netfilter/conntrack.ts";
import { Monitor } from "../../agent/netfilter/monitor.ts";
import { Netlink, program } from "../../agent/netfilter/netlink.ts";
import { NftablesBackend } from "../../agent/netfilter/nftables.ts";
import { Tables } from "../../agent/netfilter/tables.ts";
import type { Report } from "../../agent/status/status.ts";
import { node } from "../agent/node-facts.ts";
import { config } from "../agent/state.ts";
import { ensurePackages } from "../support/debian.ts";
import { netlinkProgram } from "../support/netlink.ts";
import { Namespaces } from "./namespaces.ts";
import { endPrograms } from "./programs.ts";

/** A tool's name, and what a shell does in its place. */
export type Tool = "nft" | "magic-ip-netlink";

/** The agent with one pod as target, in an empty network namespace, with tools that can be made to fail. */
export class AgentInNamespace {
  readonly namespaces = new Namespaces();
  /** Whether it said so. */
  holdsHealthPort = false;
  readonly #ending = new AbortController();
  #ended: Promise<void> = Promise.resolve();
  #port = 0;
  #tools = "";
  #network = "";
  #tables: Tables | undefined;

  /** Whether `monitored` or not, it looks at the rules every few seconds. `given` is part of its configuration. */
  static async start({
    monitored,
    given = {},
    api = onePod,
    nodeBefore = "",
    started = async (agent) => (await agent.report()).ready,
  }: Start): Promise<AgentInNamespace> {
    await ensurePackages(["nftables", "conntrack", "iproute2"]);
    const agent = new AgentInNamespace();
    await agent.namespaces.add("node");
    await agent.namespaces.in("node", ["nft", "-f", "-"], { input: nodeBefore });
    agent.#tools = await mkdtemp(join(tmpdir(), "magic-ip-tools-"));
    agent.#port = await freePort();
    await agent.#run(monitored, config({ healthPort: agent.#port, ...given }), api);
    await until(() => started(agent));
    // What was triggered by the start, and the monitor's own.
    await delay(1_500);
    return agent;
  }

  async #run(monitored: boolean, wanted: Config, api: Api): Promise<void> {
    const run = this.namespaces.command("node");
    const wrapped: Command = (file, args, ...others) =>
      run("env", [`PATH=${this.#tools}${delimiter}${process.env.PATH}`, file, ...args], ...others);
    const [enter, words] = this.namespaces.entering("node");
    const path = [this.#tools, dirname(await netlinkProgram()), process.env.PATH].join(delimiter);
    const start: Converse = (file, args, ...others) =>
      converse(enter, [...words, "env", `PATH=${path}`, file, ...args], ...others);
    this.#tables = new Tables(start);
    const monitor = new Monitor(wanted.instance, { start });
    const backend = new NftablesBackend(wrapped, this.#tables);
    const flows = new Conntrack(new Netlink("flows", { start }));
    this.#ended = runAgent(
      {
        ...{ config: wanted, nodeName: node.name, api, home: undefined, backend },
        monitor: monitored ? monitor : undefined,
        everyBackend: () => Promise.resolve([backend]),
        flows,
        nodeFacts: () => Promise.resolve(node),
        examine: () => Promise.resolve([]),
        holdsHealthPort: () => void (this.holdsHealthPort = true),
        log: pino({ level: "silent" }),
      },
      this.#ending.signal,
    ).finally(() => flows.end());
    this.#ended.catch(() => {});
  }

  async report(): Promise<Report> {
    const response = await fetch(`http://127.0.0.1:${this.#port}/readyz`);
    return (await response.json()) as Report;
  }

  async repairs(): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.#port}/metrics`);
    return Number(/^magic_ip_repairs_total (\d+)$/m.exec(await response.text())?.[1]);
  }

  /** From now on the tool is this shell script; undefined: the real one. */
  async replaceTool(tool: Tool, script: string | undefined): Promise<void> {
    const file = join(this.#tools, tool);
    // The one that stays ends, so that the next is this one.
    if (tool === program) setTimeout(() => this.#tables?.end(), 100);
    await rm(file, { force: true });
    if (script !== undefined) await writeFile(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    if (tool === program) await endPrograms(await this.#networkId(), "flows");
  }

  /** Runs nft as somebody else on the node does. */
  async nft(...args: string[]): Promise<string> {
    return (await this.namespaces.in("node", ["nft", ...args])).stdout;
  }

  /** All rules of the node, in an order that does not depend on the kernel's hashes. */
  async rules(): Promise<string> {
    const listing = await this.nft("--stateless", "--numeric", "list", "ruleset");
    return (
      listing
        // The time of the last write.
        .replace(/\b0x\w+/g, "")
        .replace(/[{},=]/g, "\n")
        .split("\n")
        .map((line) => line.trim())
        .sort()
        .join("\n")
    );
  }

  /** The command lines of what runs with the namespace's network, also after the namespace lost its name. */
  async processes(): Promise<string[]> {
    const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    const found = await Promise.all(
      ids.map(async (id) => {
        const network = await readlink(`/proc/${id}/ns/net`).catch(() => undefined);
        if (network !== this.#network) return [];
        return [(await readFile(`/proc/${id}/cmdline`, "utf8").catch(() => "")).replaceAll("\0", " ")];
      }),
    );
    return found.flat();
  }

  async #networkId(): Promise<string> {
    return (await this.namespaces.in("node", ["readlink", "/proc/self/ns/net"])).stdout;
  }

  async stop(): Promise<void> {
    this.#network = await this.#networkId();
    this.#ending.abort();
    await this.#ended;
    // In the agent's process, its end does it.
    this.#tables?.end();
    await this.namespaces.deleteAll();
    await rm(this.#tools, { recursive: true, force: true });
  }
}

interface Start {
  monitored: boolean;
  given?: Record<string, unknown>;
  api?: Api;
  /** What nft is given before the agent starts. */
  nodeBefore?: string;
  /** When it has started. */
  started?: (agent: AgentInNamespace) => Promise<boolean>;
}

/** An API server with one pod, which never changes. */
export const onePod: Api = {
  get: <T>() =>
    Promise.resolve({
      kind: "PodList",
      metadata: { resourceVersion: "1" },
      items: [
        {
          metadata: {
            ...{ namespace: "monitoring", name: "echo", uid: "uid-echo", labels: { app: "echo" } },
            creationTimestamp: "2026-11-01T10:00:00Z",
          },
          spec: { nodeName: node.name, containers: [] },
          status: {
            ...{ phase: "Running", podIP: "10.244.1.7", podIPs: [{ ip: "10.244.1.7" }] },
            conditions: [{ type: "Ready", status: "True" }],
          },
        },
      ],
    } as T),
  post: () => Promise.resolve(),
  patch: () => Promise.resolve(),

  /** Nothing ever happens. */
  watch: (_path, _query, { signal }) => Promise.resolve(silent(signal)),
};

async function* silent(signal: AbortSignal): AsyncGenerator<never> {
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Milliseconds until the condition holds; fails after `patience` of them. */
export async function until(condition: () => Promise<boolean>, patience = 10_000): Promise<number> {
  const started = performance.now();
  while (!(await condition().catch(() => false))) {
    if (performance.now() - started > patience) throw new Error(`still not so after ${patience} ms`);
    await delay(20);
  }
  return performance.now() - started;
}
