import { setTimeout as delay } from "node:timers/promises";
import type { AgentProcess } from "../../continuity/agent-process.ts";
import { address, magicIp, ready, type Stage } from "../../continuity/stage.ts";
import { percentile } from "../figure.ts";
import { type Container } from "./container.ts";

/** The second magic IP: a whole IP, for the same pods. */
export const wholeIp = "169.254.210.211";

/** Milliseconds: between two moves of the target, and after which a move counts as never made. */
const moves = { every: 1_000, patience: 10_000 };

/** A stage with the agent in a container, and two pods of which one is the target. */
export interface Scene {
  /** No agent is there to answer, or to follow a target. */
  restarting?: boolean;
  stage: Stage;
  agent: AgentProcess;
  container: Container;
  /** The pods' IPs. */
  a: string;
  b: string;
}

/** What was seen while others did their worst. */
export interface Observed {
  /** Milliseconds from the API server's word to the first datagram that the new target answers, one a move. */
  stalls: number[];
  /** The same of moves that fell into a restart of the agent. */
  restarts: number[];
  /** Milliseconds until `/readyz` answered; the patience where it did not. */
  probes: number[];
}

/** The addresses of the agent: one with two ports, and a whole IP. */
export const addresses = [address(), { ...address(), ipAddress: wholeIp, ports: undefined }];

/** Starts the agent in the container; it is ready when this returns. */
export async function startAgent(stage: Stage, container: Container): Promise<AgentProcess> {
  const agent = await stage.startAgent({ addresses }, { within: container.entering });
  await ready(agent, true, 30);
  return agent;
}

/** Moves the target to and fro, and asks for the readiness, until the work is done. */
export async function observe(scene: Scene, work: () => Promise<void>): Promise<Observed> {
  const observed: Observed = { stalls: [], restarts: [], probes: [] };
  const ending = new AbortController();
  const moving = moveTargets(scene, observed, ending.signal);
  const probing = probe(scene, observed, ending.signal);
  try {
    await work();
  } finally {
    ending.abort();
    await Promise.all([moving, probing]);
  }
  return observed;
}

async function moveTargets(scene: Scene, observed: Observed, signal: AbortSignal): Promise<void> {
  const { stage, a, b } = scene;
  const calls = stage.node.callAll("client", "udp", magicIp, 80, 10);
  try {
    for (let turn = 0; !signal.aborted; turn++) {
      const [old, young] = turn % 2 === 0 ? ["a", "b"] : ["b", "a"];
      const ip = young === "a" ? a : b;
      let { restarting = false } = scene;
      await stage.setPod(old, { ready: false });
      const told = Date.now();
      await stage.setPod(young, { ips: [ip], ready: true });
      const end = told + moves.patience;
      const isThere = () => calls.answers.some(({ pod, at }) => pod === young && at >= told);
      while (!isThere() && Date.now() < end) {
        restarting ||= scene.restarting ?? false;
        await delay(5);
      }
      const first = calls.answers.find(({ pod, at }) => pod === young && at >= told);
      const stall = first === undefined ? moves.patience : first.at - told;
      (restarting ? observed.restarts : observed.stalls).push(stall);
      await delay(moves.every, undefined, { signal }).catch(() => {});
    }
  } finally {
    await calls.end();
  }
}

async function probe(scene: Scene, { probes }: Observed, signal: AbortSignal): Promise<void> {
  const patience = 2_000;
  while (!signal.aborted) {
    const asked = performance.now();
    const before = scene.restarting ?? false;
    const answer = await scene.agent.ask("/readyz", patience);
    const milliseconds = answer === undefined ? patience : performance.now() - asked;
    if (!before && !scene.restarting) probes.push(milliseconds);
    await delay(200, undefined, { signal }).catch(() => {});
  }
}

/** In words for a figure. */
export function spread(values: number[]): string {
  const of = (share: number) => Math.round(percentile(values, share));
  return `${values.length} times, p50 ${of(0.5)} ms, p90 ${of(0.9)} ms, longest ${of(1)} ms`;
}
