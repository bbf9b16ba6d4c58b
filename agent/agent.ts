import type { Problem } from "./desired/state.ts";
import { departure } from "./kubernetes/departure.ts";
import { type Event, postEvent } from "./kubernetes/event.ts";
import { type Home, Installation } from "./kubernetes/installation.ts";
import { aborted, Loop, type LoopParts } from "./loop.ts";
import { serveEndpoints } from "./status/endpoints.ts";
import { Status } from "./status/status.ts";
import { endClock, leave } from "./sync/ending.ts";

/** Everything that one agent works with. */
export interface AgentParts extends Omit<LoopParts, "conflict" | "before" | "status"> {
  /** Absent when nothing can tell whether the installation is being removed; its rules then always stay. */
  home: Home | undefined;
  /** The health port is this process's own, and so whatever a kubelet hears from it until the process ends. */
  holdsHealthPort?(): void;
}

/**
 * Keeps the node's magic IPs in step until the signal aborts. Rules that lead somewhere are not touched before a selector
 * was listed, those of an address not before its own was, and nothing is removed at the end unless the whole installation
 * goes.
 */
export async function runAgent(agent: AgentParts, signal: AbortSignal): Promise<void> {
  const { config, home, api, backend } = agent;
  const clock = endClock(signal);
  const [since, before] = await Promise.all([
    rulesSince(agent),
    backend.frontends(config.instance).catch(() => []),
  ]);
  const status = new Status(backend.name, since);
  const served = new AbortController();
  const posting = { ...agent, post: (event: Event) => post(agent, event) };
  const serving = serveEndpoints(posting, status, served.signal);
  const installation = new Installation(api, home);
  const left = new AbortController();
  const following = installation.run(left.signal);
  const stopped = new AbortController();
  const conflict = (problem: Problem) => tell(agent, problem);
  const finished = new Loop({ ...agent, conflict, before, status }).run(stopped.signal);

  await aborted(signal);
  const leaving = leave(agent, clock, () => departure(api, installation));
  stopped.abort();
  await leaving(finished);
  left.abort();
  served.abort();
  await Promise.all([following, serving]);
}

/** Rules of an agent before us serve on until the pods are known, however long the API server is away. */
async function rulesSince({ backend, config, log }: AgentParts): Promise<Date | undefined> {
  const seconds = await backend.writeTime(config.instance).catch(() => undefined);
  const since = new Date((seconds ?? Number.NaN) * 1000);
  // Also where another version, or another hand, wrote what is no time.
  if (Number.isNaN(since.getTime())) return undefined;
  const minutes = Math.max(0, Math.round((Date.now() - since.getTime()) / 60_000));
  log.info(
    `rules of this installation are there, last changed ${minutes} min ago: they stay until the pods are known`,
  );
  return since;
}

function tell(agent: AgentParts, { message }: Problem): void {
  agent.log.error(message);
  post(agent, { reason: "MagicIpConflict", message });
}

/** The log and the readiness say it in any case. */
function post({ api, home, nodeName, log }: AgentParts, event: Event): void {
  postEvent(api, home, nodeName, event).catch((error: unknown) =>
    log.debug({ err: error }, "the event could not be posted"),
  );
}
