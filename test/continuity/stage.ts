import { type ChildProcess, spawn } from "node:child_process";
import { lstat, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { until } from "../cluster/patience.ts";
import type { PodNetwork } from "../kernel/topology.ts";
import { type Switches, TestNode } from "../kernel/node.ts";
import { endPrograms } from "../kernel/programs.ts";
import { netlinkProgram } from "../support/netlink.ts";
import { AgentProcess } from "./agent-process.ts";
import { ControlPlane, end } from "./control-plane.ts";
import { ApiProxy } from "./proxy.ts";

export const magicIp = "169.254.210.210";
export const instance = "stage";
export const table = `magic-ip-${instance}`;
const namespace = "stage";
const apiPort = 6443;
const tools = ["sh", "nft", "magic-ip-netlink", "conntrack", "ip", "ip6tables", "iptables"].flatMap((tool) =>
  tool.endsWith("tables")
    ? ["-nft", "-nft-restore", "-nft-save", "-legacy", "-legacy-restore", "-legacy-save"].map(
        (end) => tool + end,
      )
    : [tool],
);

/** What is said of a pod, in the words of its status. */
export interface PodWords {
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ips?: string[];
  ready?: boolean;
  phase?: string;
  ports?: object[];
}

/**
 * A node with a real kernel, a real API server, and the agent's real process between them:
 *
 *     pods ── node's network namespace ── agent ── 127.0.0.1:6443 ── Unix socket ── ApiProxy ── kube-apiserver ── etcd
 *
 * There is no kubelet: the test writes pods and their status.
 */
export class Stage {
  readonly agents = new Set<AgentProcess>();
  #relay: ChildProcess | undefined;
  #agentCount = 0;

  private constructor(
    readonly node: TestNode,
    readonly plane: ControlPlane,
    readonly proxy: ApiProxy,
  ) {}

  /** A stage with a client, and two pods that serve and that Kubernetes does not know of yet. */
  static async serving(): Promise<{ stage: Stage; a: string; b: string }> {
    const stage = await Stage.create();
    await stage.node.addPod("client");
    return { stage, a: await stage.host("a"), b: await stage.host("b") };
  }

  static async create(switches: Partial<Switches> = {}): Promise<Stage> {
    const plane = await ControlPlane.start();
    const node = await TestNode.create(switches);
    const stage = new Stage(node, plane, new ApiProxy(plane));
    await stage.#prepare();
    return stage;
  }

  get directory(): string {
    return this.plane.directory;
  }

  /** Starts an agent; `ready` below waits for it. */
  async startAgent(
    config: Record<string, unknown> = {},
    plan: { nodeName?: string; healthPort?: number; env?: Record<string, string>; within?: string[] } = {},
  ): Promise<AgentProcess> {
    const agent = await AgentProcess.start({
      ...{
        entering: this.node.entering("node"),
        directory: this.directory,
        name: `agent-${++this.#agentCount}`,
      },
      ...{ nodeName: "node-1", healthPort: 61000, kubeconfig: join(this.directory, "kubeconfig") },
      ...{ path: join(this.directory, "bin"), config: { instance, addresses: [address()], ...config } },
      ...plan,
    });
    this.agents.add(agent);
    return agent;
  }

  /** Adds a pod's network and its echo server; Kubernetes does not know of it yet. Returns its IPv4 address. */
  async host(name: string, network: PodNetwork = "bridge"): Promise<string> {
    const [ip = ""] = await this.node.addPod(name, network);
    await this.node.serve(name, [8080]);
    return ip;
  }

  /** Writes a pod, then its status; returns its uid. */
  async addPod(name: string, words: PodWords = {}): Promise<string> {
    const { labels = { app: "echo" }, annotations = {}, ports = [] } = words;
    const spec = {
      nodeName: "node-1",
      containers: [{ name: "c", image: "none", ports }],
      tolerations: [{ operator: "Exists" }],
      automountServiceAccountToken: false,
    };
    const metadata = { name, labels, annotations };
    const pod = await this.plane.send<{ metadata: { uid: string } }>("POST", pods, { metadata, spec });
    await this.setPod(name, { ready: true, ...words });
    return pod.metadata.uid;
  }

  async setPod(name: string, { ips, ready, phase = "Running" }: PodWords): Promise<void> {
    const conditions =
      ready === undefined ? {} : { conditions: [{ type: "Ready", status: ready ? "True" : "False" }] };
    const places = ips === undefined ? {} : { podIP: ips[0] ?? null, podIPs: ips.map((ip) => ({ ip })) };
    const status = { phase, ...conditions, ...places };
    await this.plane.send("PATCH", `${pods}/${name}/status`, { status });
  }

  /** With seconds of grace it terminates until it is deleted without. */
  async deletePod(name: string, graceSeconds = 0): Promise<void> {
    await this.plane.send("DELETE", `${pods}/${name}`, { gracePeriodSeconds: graceSeconds });
  }

  async clearPods(): Promise<void> {
    const { items } = await this.plane.send<{ items: { metadata: { name: string } }[] }>("GET", pods);
    for (const { metadata } of items) await this.deletePod(metadata.name);
  }

  /** Puts a shell script in the place of a tool of the agent; `$REAL` is the tool. Undefined: the tool itself; "": none. */
  async replaceTool(name: string, script?: string): Promise<void> {
    const file = join(this.directory, "bin", name);
    const draft = `${file}.new`;
    const real = await realTool(name);
    if (script === "" || real === undefined || real === "") return await rm(file, { force: true });
    // Not the tool itself where a script was: the kernel reads its first line, and a shell then opens what stands there by now.
    const text = script ?? ((await isScript(file)) ? 'exec "$REAL" "$@"' : undefined);
    if (text === undefined) await symlink(real, draft);
    else
      await writeFile(draft, `#!/bin/sh\nREAL=${real}\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n${text}\n`, {
        mode: 0o755,
      });
    await execa("mv", [draft, file]);
  }

  /** Puts a script in the place of the agent's program that ends flows, also of the one that runs. */
  async replaceFlows(script?: string): Promise<void> {
    const others = '[ "$1" = flows ] || exec "$REAL" "$@"';
    await this.replaceTool("magic-ip-netlink", script === undefined ? undefined : `${others}\n${script}`);
    const { stdout } = await this.node.in("node", ["readlink", "/proc/self/ns/net"]);
    await endPrograms(stdout, "flows");
  }

  /** What the kernel has of the agent; empty when there is nothing. */
  async rules(): Promise<string> {
    const { stdout } = await this.node.in("node", ["nft", "-s", "list", "table", "inet", table], {
      reject: false,
    });
    // When the agent wrote last is another thing than what it wrote.
    return String(stdout ?? "").replace(/\tset written \{.*?\n\t\}\n/s, "");
  }

  /** How many transactions reach the node's kernel in so many milliseconds. */
  async countWrites(milliseconds: number): Promise<number> {
    const watching = this.node.in("node", ["nft", "monitor"], { reject: false });
    await pause(milliseconds);
    watching.kill("SIGTERM");
    const { stdout } = await watching;
    return new Set(
      [...String(stdout).matchAll(/# new generation (\d+)/g)].map(([, generation]) => generation),
    ).size;
  }

  /** The DaemonSet that the agents take themselves for a part of. */
  async daemonSet(there: boolean): Promise<void> {
    const place = `/apis/apps/v1/namespaces/${namespace}/daemonsets`;
    if (!there) return void (await this.plane.send("DELETE", `${place}/agent`));
    const labels = { app: "agent" };
    const template = { metadata: { labels }, spec: { containers: [{ name: "c", image: "none" }] } };
    await this.plane.send("POST", place, {
      metadata: { name: "agent" },
      spec: { selector: { matchLabels: labels }, template },
    });
  }

  async nft(...words: string[]): Promise<void> {
    await this.node.in("node", ["nft", ...words]);
  }

  /** Packets on loopback to the API server vanish, without a word to anybody. */
  async blackHole(on: boolean): Promise<void> {
    if (!on) return await this.nft("delete", "table", "inet", "black-hole");
    await this.node.load(
      `table inet black-hole {
        chain input {
          type filter hook input priority -300
          iif lo tcp dport ${apiPort} drop
          iif lo tcp sport ${apiPort} drop
        }
      }`,
    );
  }

  /** Ends the agents and forgets rules, pods and faults. */
  async clear(): Promise<void> {
    for (const agent of this.agents) await agent.stop("SIGKILL");
    this.agents.clear();
    this.proxy.fault = () => undefined;
    for (const tool of ["nft", "magic-ip-netlink", "conntrack"]) await this.replaceTool(tool);
    await Promise.all([this.clearPods(), this.node.clear()]);
    this.proxy.requests.length = 0;
  }

  async remove(): Promise<void> {
    for (const agent of this.agents) await agent.stop("SIGKILL");
    await end(this.#relay, "SIGKILL");
    this.proxy.close();
    await this.node.remove();
    await this.plane.remove();
  }

  async #prepare(): Promise<void> {
    await mkdir(join(this.directory, "bin"));
    for (const tool of tools) await this.replaceTool(tool);
    const socket = join(this.directory, "api.sock");
    await this.proxy.listen(socket);
    const relay = [
      "socat",
      `TCP4-LISTEN:${apiPort},bind=127.0.0.1,fork,reuseaddr,nodelay`,
      `UNIX-CONNECT:${socket}`,
    ];
    const [file, args] = this.node.entering("node");
    this.#relay = spawn(file, [...args, "setpriv", "--pdeathsig", "KILL", ...relay], { stdio: "ignore" });
    await writeFile(join(this.directory, "kubeconfig"), kubeconfig(`http://127.0.0.1:${apiPort}`));
    await this.plane.send("POST", "/api/v1/namespaces", { metadata: { name: namespace } });
    await this.allow();
  }

  /** What the chart's role allows, for the agent's user. */
  async allow(): Promise<void> {
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
    const rules = [
      { apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"] },
      { apiGroups: ["apps"], resources: ["daemonsets"], verbs: ["get"] },
      { apiGroups: [""], resources: ["configmaps"], verbs: ["get", "watch"] },
      { apiGroups: [""], resources: ["namespaces"], resourceNames: [namespace], verbs: ["get"] },
    ];
    await this.plane
      .send("POST", `${rbac}/roles`, { metadata: { name: "agent" }, rules })
      .catch(() => undefined);
    await this.plane.send("POST", `${rbac}/rolebindings`, {
      metadata: { name: "agent" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "agent" },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "agent" }],
    });
  }

  async forbid(): Promise<void> {
    await this.plane.send(
      "DELETE",
      `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings/agent`,
    );
  }
}

async function realTool(name: string): Promise<string | undefined> {
  if (name === "magic-ip-netlink") return await netlinkProgram();
  return (await execa("which", [name], { reject: false })).stdout;
}

const pods = `/api/v1/namespaces/${namespace}/pods`;

/** One address, TCP and UDP. */
export function address(changes: Record<string, unknown> = {}): Record<string, unknown> {
  const ports = [
    { port: 80, targetPort: 8080 },
    { port: 80, targetPort: 8080, protocol: "UDP" },
  ];
  return { ipAddress: magicIp, namespace, selector: "app=echo", ports, ...changes };
}

/** Waits until an agent's readiness is as expected; returns it. */
export async function ready(agent: AgentProcess, expected = true, seconds = 10) {
  const what = () =>
    `an agent to be ${expected ? "ready" : "not ready"}; it said last: ${JSON.stringify(agent.log.slice(-3))}`;
  try {
    const hopeless = () => (agent.running ? undefined : "it has ended");
    return await until({ what: "readiness", seconds, hopeless }, async () => {
      const report = await agent.readiness();
      return report?.ready === expected && report;
    });
  } catch {
    throw new Error(what());
  }
}

/** Waits, for at most some seconds; returns how many milliseconds it took. */
export async function takes(what: string, seconds: number, check: () => unknown): Promise<number> {
  const started = performance.now();
  await until({ what, seconds }, async () => Boolean(await check()));
  return performance.now() - started;
}

export const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Without TLS, which client-node takes only with this word for it. */
export function kubeconfig(server: string): string {
  const name = "stage";
  return JSON.stringify({
    ...{ apiVersion: "v1", kind: "Config", "current-context": name },
    clusters: [{ name, cluster: { server, "insecure-skip-tls-verify": true } }],
    users: [{ name, user: {} }],
    contexts: [{ name, context: { cluster: name, user: name } }],
  });
}

async function isScript(file: string): Promise<boolean> {
  const found = await lstat(file).catch(() => undefined);
  return found?.isFile() ?? false;
}
