import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parse } from "yaml";

/** Milliseconds between two looks at the memory. */
const sampling = 20;

/** Bytes that the chart allows the agent's container, children included. */
export function chartMemoryLimit(): number {
  const file = new URL("../../../component/chart/values.yaml", import.meta.url);
  const { resources } = parse(readFileSync(file, "utf8")) as { resources: { limits: { memory: string } } };
  const [, number, unit] = /^(\d+)(Mi|Gi)$/.exec(resources.limits.memory) ?? [];
  if (unit === undefined)
    throw new Error(`the chart's memory limit is not in Mi or Gi: ${resources.limits.memory}`);
  return Number(number) * (unit === "Mi" ? 2 ** 20 : 2 ** 30);
}

/** The files of the two versions of the kernel's memory controller (cgroup-v1/memory.rst, cgroup-v2.rst). */
const versions = [
  {
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    inactive: "total_inactive_file",
    kills: "memory.oom_control",
  },
  {
    root: "/sys/fs/cgroup",
    limit: "memory.max",
    usage: "memory.current",
    inactive: "inactive_file",
    kills: "memory.events",
  },
] as const;

/** A memory cgroup with the limit of the chart, as the kubelet makes one for the agent's container. */
export class Container {
  readonly #files;
  readonly #directory: string;
  readonly #ending = new AbortController();
  #peak = 0;

  constructor(
    name: string,
    readonly limit: number,
  ) {
    const files = versions.find(
      ({ root, usage }) => existsSync(join(root, "cgroup.procs")) && existsSync(rootFile(root, usage)),
    );
    if (files === undefined) throw new Error("this machine has no memory controller at /sys/fs/cgroup");
    this.#files = files;
    this.#directory = join(files.root, `magic-ip-${process.pid}-${name}`);
    mkdirSync(this.#directory);
    writeFileSync(join(this.#directory, files.limit), String(limit));
    void this.#sample();
  }

  /** The words before a program's own that run it, and all its children, in the cgroup. */
  get entering(): string[] {
    return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', join(this.#directory, "cgroup.procs")];
  }

  /**
   * The most bytes that a look saw, without page cache that the kernel takes back when it needs the memory: what the
   * kubelet calls the working set.
   */
  get peak(): number {
    return this.#peak;
  }

  /** Processes that the kernel ended because the limit was reached. */
  get kills(): number {
    return this.#number(this.#files.kills, "oom_kill");
  }

  /** Its processes have ended. */
  async remove(): Promise<void> {
    this.#ending.abort();
    for (let attempt = 0; attempt < 50; attempt++) {
      try {
        rmdirSync(this.#directory);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw error;
        await delay(100);
      }
    }
  }

  async #sample(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const inactive = this.#number("memory.stat", this.#files.inactive);
      this.#peak = Math.max(this.#peak, Number(this.#read(this.#files.usage)) - inactive);
      await delay(sampling, undefined, { signal }).catch(() => {});
    }
  }

  #number(file: string, key: string): number {
    return Number(new RegExp(`^${key} (\\d+)$`, "m").exec(this.#read(file))?.[1] ?? 0);
  }

  #read(file: string): string {
    return readFileSync(join(this.#directory, file), "utf8");
  }
}

/** Version 2 has no usage at its root; a hybrid machine has its own tree for version 2, without this controller. */
function rootFile(root: string, usage: string): string {
  return usage === "memory.current" ? join(root, "cgroup.subtree_control") : join(root, usage);
}
