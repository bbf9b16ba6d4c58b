import { setTimeout as delay } from "node:timers/promises";
import type { Answer } from "../kernel/caller.ts";
import { randomOf } from "../support/random.ts";
import type { AgentProcess } from "./agent-process.ts";
import { halfOpen, refuse, silence, truncated } from "./proxy.ts";
import { magicIp, ready, type Stage, table, takes } from "./stage.ts";

/** What a run of chaos ends with. */
export interface ChaosReport {
  seed: number;
  /** How often each kind of trouble was made. */
  troubles: Record<string, number>;
  calls: number;
  /** Packets that reached a pod that nobody may lead to, and answers of one. */
  strays: string[];
  /** Calls that failed while nothing was wrong that explains it. */
  unexplained: string[];
  /** Of the agent, at the first calm and at the last one. */
  first: Measure;
  last: Measure;
}

interface Measure {
  rules: number;
  descriptors: number;
  megabytes: number;
}

/** A node with targets that come and go, a stranger that nobody may reach, and an agent. */
interface Play {
  stage: Stage;
  agent: AgentProcess;
  random: () => number;
  ips: string[];
}

/** A kind of trouble; it is over, and explains no failure any more, when its promise is settled. */
type Trouble = (play: Play) => Promise<void>;

export const troubles: Record<string, Trouble> = {
  churn: async ({ stage, random, ips }) => {
    const ready = random() < 0.5;
    const pod = `pod-${Math.floor(random() * ips.length)}`;
    await stage.setPod(pod, { ready });
  },
  recreation: async ({ stage, random, ips }) => {
    const index = Math.floor(random() * ips.length);
    await stage.deletePod(`pod-${index}`);
    await stage.addPod(`pod-${index}`, { ips: [ips[index] ?? ""] });
  },
  flush: ({ stage }) => stage.nft("flush", "ruleset"),
  table: ({ stage }) => stage.nft("delete", "table", "inet", table).catch(() => {}),
  element: ({ stage }) => stage.nft("flush", "set", "inet", table, "live4").catch(() => {}),
  tool: async ({ stage, random }) => {
    const scripts = ["", "exit 1", "kill -SEGV $$", "exec sleep 60", 'sleep 1; exec "$REAL" "$@"'];
    const replace =
      random() < 0.7 ? (script?: string) => stage.replaceTool("nft", script) : stage.replaceFlows;
    await replace.call(stage, scripts[Math.floor(random() * scripts.length)]);
    await delay(500 + random() * 2_000);
    await replace.call(stage);
  },
  api: async ({ stage, random }) => {
    const faults = [refuse(500), refuse(429, { "retry-after": "1" }), silence, truncated, halfOpen];
    const fault = faults[Math.floor(random() * faults.length)];
    stage.proxy.fault = () => fault;
    stage.proxy.cut();
    await delay(500 + random() * 2_000);
    stage.proxy.fault = () => undefined;
    stage.proxy.cut();
  },
  stall: async ({ agent, random }) => {
    agent.signal("SIGSTOP");
    await delay(random() * 2_000);
    agent.signal("SIGCONT");
  },
};

/**
 * Random trouble for some seconds, with a calm after every few of them in which everything has to be right again: the
 * newest ready pod serves, and no call fails.
 */
export async function chaos(stage: Stage, seconds: number, seed: number): Promise<ChaosReport> {
  const random = randomOf(seed);
  const ips: string[] = [];
  for (const name of ["pod-0", "pod-1", "pod-2"]) ips.push(await stage.host(name));
  const stranger = await stage.host("stranger");
  await stage.addPod("stranger", { ips: [stranger], labels: { app: "other" } });
  for (const [index, ip] of ips.entries()) await stage.addPod(`pod-${index}`, { ips: [ip] });
  const agent = await stage.startAgent();
  await ready(agent);
  const play = { stage, agent, random, ips };
  const first = await calm(play);
  const report: ChaosReport = {
    seed,
    troubles: {},
    calls: 0,
    strays: [],
    unexplained: [],
    first,
    last: first,
  };
  await stage.node.sightings("stranger");
  const calls = stage.node.callAll("client", "udp", magicIp, 80, 10);
  const deck = dealer(random);
  const isIncomplete = () => Object.keys(report.troubles).length < Object.keys(troubles).length;
  for (const ends = performance.now() + seconds * 1_000; performance.now() < ends || isIncomplete();) {
    for (let turn = 0; turn < 5; turn++) await make(deck(), play, report);
    report.last = await calm(play);
    report.unexplained.push(...(await failuresInCalm(stage)));
  }
  const answers = await calls.end();
  report.calls = answers.length;
  report.strays = [...strays(answers), ...(await stage.node.sightings("stranger"))];
  return report;
}

/** Names a kind of trouble each time: all of them in random order, then all of them anew. */
function dealer(random: () => number): () => string {
  let left: string[] = [];
  return () => {
    if (left.length === 0) left = Object.keys(troubles);
    const [name = ""] = left.splice(Math.floor(random() * left.length), 1);
    return name;
  };
}

async function make(name: string, play: Play, report: ChaosReport): Promise<void> {
  report.troubles[name] = (report.troubles[name] ?? 0) + 1;
  await troubles[name]?.(play);
  await delay(play.random() * 200);
}

/** All pods are ready and the rules are whole; returns what the agent takes then. */
async function calm({ stage, agent, ips }: Play): Promise<Measure> {
  for (const index of ips.keys()) await stage.setPod(`pod-${index}`, { ready: true });
  await ready(agent, true, 30);
  await takes("the API server's trouble to be over", 60, async () => {
    const report = await agent.readiness();
    return report?.ready && report.bindings.every(({ targets }) => targets.length === 1);
  });
  await takes("a pod to serve", 15, async () => {
    const { pod } = await stage.node.call("client", "tcp", magicIp, 80, { deadline: 250 });
    return pod?.startsWith("pod-");
  });
  // What the last trouble did to the rules is undone within a second.
  await delay(1_500);
  const { descriptors, megabytes } = agent.usage();
  const rules = (await stage.rules()).split("\n").length;
  return { rules, descriptors, megabytes };
}

async function failuresInCalm(stage: Stage): Promise<string[]> {
  const answers: Answer[] = [];
  for (let count = 0; count < 20; count++) answers.push(await stage.node.call("client", "tcp", magicIp, 80));
  return answers.filter(({ pod }) => !pod?.startsWith("pod-")).map((answer) => JSON.stringify(answer));
}

function strays(answers: Answer[]): string[] {
  return answers.flatMap(({ pod }) => (pod === undefined || pod.startsWith("pod-") ? [] : [pod]));
}
