import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { execa } from "execa";
import type { Cluster } from "../cluster/cluster.ts";
import { netlinkProgram } from "../support/netlink.ts";
import { step } from "../support/progress.ts";
import {
  bundleAgent,
  environment,
  imageNodeFlags,
  removeRules,
  residentMegabytes,
  startAgent,
} from "./agent-process.ts";
import { FakeNode } from "./fake-node.ts";
import { atMost, type Figure, median, withoutAim } from "./figure.ts";
import { AgentLog } from "./agent-log.ts";
import { labelsOf, many, manyAddresses, podIp } from "./many.ts";
import type { SyncTimes } from "./sync-times.ts";

const changes = 100;
/** Of the functions' times: processes that differ by nothing but what else the machine does. */
const processes = 3;
const size = `${many.addresses} addresses × ${many.ports} ports on ${many.pods} pods`;

/** What a sync costs with 10,000 bindings, and what the agent is like after it. */
export async function scale(cluster: Cluster): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "magic-ip-bench-"));
  try {
    const inside = await step("time the agent's functions on 10,000 bindings", () =>
      measureFunctions(directory),
    );
    return [...functionFigures(inside), ...(await measureAgent(cluster, directory))];
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function measureFunctions(directory: string): Promise<SyncTimes[]> {
  const outfile = join(directory, "sync-times.mjs");
  const entry = fileURLToPath(new URL("sync-times.ts", import.meta.url));
  await build({
    ...{ entryPoints: [entry], outfile, bundle: true, platform: "node", format: "esm", target: "node24" },
    ...{ minifySyntax: true, minifyWhitespace: true },
    // As in agent/build.mjs.
    banner: {
      js: 'import { createRequire as bundleRequire } from "node:module"; const require = bundleRequire(import.meta.url);',
    },
  });
  const runs: SyncTimes[] = [];
  const path = `${dirname(await netlinkProgram())}:${process.env.PATH}`;
  const env = { ...environment(directory), PATH: path };
  for (let run = 0; run < processes; run++) {
    const argv = ["--net", process.execPath, ...imageNodeFlags(), outfile];
    const { stdout } = await execa("unshare", argv, { env });
    runs.push(JSON.parse(stdout) as SyncTimes);
  }
  return runs;
}

function functionFigures(runs: SyncTimes[]): Figure[] {
  const middle = (of: (run: SyncTimes) => number) => median(runs.map(of));
  const nft = middle((run) => run.nft.reduce((sum, { milliseconds }) => sum + milliseconds, 0));
  const [desired, write] = [middle((run) => run.desired), middle((run) => run.write)];
  const changed = runs.flatMap((run) => run.changes);
  const ofNft = median(runs.flatMap((run) => run.nftOfChanges));
  const [all, frame] = [middle((run) => run.inspections[0] ?? 0), middle((run) => run.inspections[1] ?? 0)];
  const sync = `${size}: pods → desired state ${Math.round(desired)} ms → commit ${Math.round(write)} ms, nft's part ${Math.round(nft)} ms`;
  const change = `p50 of ${changed.length} pods, each the target of 100 bindings: pods → commit, the kernel's part ${Math.round(ofNft)} ms`;
  return [
    atMost("full sync", desired + write, "ms", 1_000, sync),
    atMost("one target changed", median(changed), "ms", 50, change),
    withoutAim("configuration read", `${Math.round(middle((run) => run.parse))} ms`, "once, at the start"),
    withoutAim(
      "unchanged rules looked at",
      `${Math.round(all)} ms`,
      `after a transaction on the node; after none: ${Math.round(frame)} ms`,
    ),
  ];
}

async function measureAgent(cluster: Cluster, directory: string): Promise<Figure[]> {
  await bundleAgent(directory);
  const node = await FakeNode.create(cluster, "bench-scale");
  try {
    const numbers = Array.from({ length: many.pods }, (_, number) => number);
    await step(`make ${many.pods} pods`, () =>
      Promise.all(numbers.map((pod) => node.addPod(`pod-${pod}`, labelsOf(pod), podIp(pod)))),
    );
    return await followChanges(cluster, directory, node);
  } finally {
    await node.remove();
    await removeRules(cluster);
  }
}

async function followChanges(cluster: Cluster, directory: string, node: FakeNode): Promise<Figure[]> {
  const agent = await startAgent(cluster, directory, node.name, manyAddresses(node.namespace));
  const started = Date.now();
  const log = new AgentLog(agent.process);
  try {
    const start = (await log.committed(podIp(0))) - started;
    await delay(5_000);
    const before = residentMegabytes(agent.process.pid);
    const delays = await step(`change ${changes} targets`, () => changeTargets(node, log));
    await delay(2_000);
    const from = `${size}, after ${changes} changes; ${before} MB before them`;
    return [
      atMost("agent's memory", residentMegabytes(agent.process.pid), "MB", 120, from),
      withoutAim("agent's start", `${start} ms`, "process starts → first commit, with the API server's part"),
      withoutAim(
        "pod changed in the API",
        `${Math.round(median(delays))} ms`,
        `p50: request to the API server → commit, max ${Math.round(Math.max(...delays))} ms`,
      ),
    ];
  } finally {
    agent.process.kill();
    await agent.process;
  }
}

async function changeTargets(node: FakeNode, log: AgentLog): Promise<number[]> {
  const delays: number[] = [];
  for (let change = 1; change <= changes; change++) {
    const pod = (change * 7) % many.pods;
    const ip = podIp(pod, change);
    const asked = Date.now();
    await node.setIp(`pod-${pod}`, ip);
    delays.push((await log.committed(ip)) - asked);
    // Not in step with the agent's own timers.
    await delay(50 + Math.random() * 100);
  }
  return delays;
}
