import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { copyFile, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import type { Report } from "../../agent/status/status.ts";
import { environment, imageNodeFlags } from "../bench/agent-process.ts";
import { cached } from "../support/cache.ts";
import { end, textOf } from "./control-plane.ts";

const repository = fileURLToPath(new URL("../..", import.meta.url));

/** A line of the agent's log. */
export interface LogLine {
  level: string;
  time: string;
  msg: string;
}

/** What a process of the agent starts with. */
export interface AgentPlan {
  /** The words before a program's own that run it on the node. */
  entering: [string, string[]];
  directory: string;
  /** Names its files and sockets. */
  name: string;
  nodeName: string;
  healthPort: number;
  config: Record<string, unknown>;
  /** Where its tools are. */
  path: string;
  kubeconfig: string;
  env?: Record<string, string>;
  /** The words before the agent's own, inside the node, that put it into a cgroup. */
  within?: string[];
}

let bundle: Promise<string> | undefined;

/** The agent's bundle with the compile cache of the image, made anew when its source has changed. */
function agentBundle(): Promise<string> {
  return (bundle ??= bundled());
}

async function bundled(): Promise<string> {
  const sources = readdirSync(join(repository, "agent"), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(ts|mjs)$/.test(name) && !name.includes("node_modules"))
    .map((name) => join(repository, "agent", name));
  const spec = readdirSync(join(repository, "component/address")).map((name) =>
    join(repository, "component/address", name),
  );
  const hash = createHash("sha256");
  for (const file of [...sources, ...spec, join(repository, "package-lock.json")].sort()) {
    if (existsSync(file)) hash.update(file).update(readFileSync(file));
  }
  return cached(`agent-bundle-${hash.digest("hex").slice(0, 12)}`, async (draft) => {
    await execa(process.execPath, [join(repository, "agent/build.mjs")]);
    await copyFile(join(repository, "dist/agent/main.mjs"), join(draft, "main.mjs"));
  });
}

/** The real agent, as a process on the stage's node. */
export class AgentProcess {
  readonly log: LogLine[] = [];
  readonly #child: ChildProcess;
  readonly #health: ChildProcess;
  readonly #socket: string;

  private constructor(
    readonly plan: AgentPlan,
    directory: string,
    config: string,
  ) {
    const [file, args] = plan.entering;
    const within = [...(plan.within ?? []), "setpriv", "--pdeathsig", "KILL", "env", `PATH=${plan.path}`];
    const argv = [...within, process.execPath, ...imageNodeFlags(), join(directory, "main.mjs")];
    const env = { ...environment(directory), KUBECONFIG: plan.kubeconfig, ...plan.env };
    this.#child = spawn(file, [...args, ...argv, "run", "--config", config, "--node", plan.nodeName], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream) createInterface({ input: stream }).on("line", (line) => this.log.push(parsed(line)));
    }
    this.#socket = join(plan.directory, `${plan.name}.health.sock`);
    const relay = [
      "socat",
      `UNIX-LISTEN:${this.#socket},fork,unlink-early`,
      `TCP4:127.0.0.1:${plan.healthPort}`,
    ];
    this.#health = spawn(file, [...args, "setpriv", "--pdeathsig", "KILL", ...relay], { stdio: "ignore" });
  }

  static async start(plan: AgentPlan): Promise<AgentProcess> {
    const config = join(plan.directory, `${plan.name}.json`);
    await writeFile(config, JSON.stringify({ healthPort: plan.healthPort, ...plan.config }));
    return new AgentProcess(plan, await agentBundle(), config);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What `/readyz` says; undefined while nobody answers within the time that a kubelet waits. */
  readiness(milliseconds = 1_000): Promise<Report | undefined> {
    return this.ask("/readyz", milliseconds).then((text) =>
      text === undefined ? undefined : (JSON.parse(text) as Report),
    );
  }

  /** A number of `/metrics`. */
  async metric(name: string): Promise<number> {
    const text = (await this.ask("/metrics", 5_000)) ?? "";
    return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(text)?.[1]);
  }

  ask(path: string, milliseconds: number): Promise<string | undefined> {
    return new Promise((resolve) => {
      const options = { socketPath: this.#socket, path, timeout: milliseconds, agent: false };
      const call = get(options, (response) => {
        void textOf(response).then((text) => resolve(text === "" ? undefined : text));
      });
      call.on("timeout", () => call.destroy()).on("error", () => resolve(undefined));
    });
  }

  said(pattern: RegExp): LogLine[] {
    return this.log.filter(({ msg }) => pattern.test(msg));
  }

  /** Ends the tools of this name that run now. */
  endTools(name: string): void {
    const children = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, "utf8");
    for (const id of children.split(" ").filter(Boolean)) {
      try {
        if (readFileSync(`/proc/${id}/cmdline`, "utf8").includes(name)) process.kill(Number(id), "SIGKILL");
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Tells it to end, and waits until it has; returns its exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    // A stopped process does not hear that it should end.
    this.#child.kill("SIGCONT");
    await end(this.#child, signal);
    await end(this.#health, "SIGKILL");
    return this.#child.exitCode;
  }

  exited(): Promise<unknown> {
    return this.running ? once(this.#child, "exit") : Promise.resolve();
  }

  /** What it takes of the machine now. */
  usage(): { descriptors: number; megabytes: number; cpuSeconds: number; children: number } {
    const proc = `/proc/${this.pid}`;
    const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`${proc}/status`, "utf8"))?.[1];
    const fields = readFileSync(`${proc}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    // utime, stime and those of its children that ended (proc(5), fields 14 to 17), in ticks of 10 ms.
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    return {
      descriptors: readdirSync(`${proc}/fd`).length,
      megabytes: Math.round(Number(kilobytes) / 1024),
      cpuSeconds: ticks / 100,
      children: readFileSync(`${proc}/task/${this.pid}/children`, "utf8").split(" ").filter(Boolean).length,
    };
  }
}

function parsed(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { level: "text", time: "", msg: line };
  }
}
