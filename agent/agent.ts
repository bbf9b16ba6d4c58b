import type { Problem } from "./desired/state.ts";
import { departure } from "./kubernetes/departure.ts";
import { type Event, postEvent } from "./kubernetes/event.ts";
import { type Home, Installation } from "./kubernetes/installation.ts";
import { aborted, Loop, type LoopParts } from "./loop.ts";
import { serveEndpoints } from "./status/endpoints.ts";
import { Status } from "./status/status.ts";
import { endClock, leave } from "./sync/ending.ts";

/** What an agent works with. */
export interface AgentParts extends Omit<LoopParts, "conflict" | "before" | "status"> {
  /** The agent's DaemonSet; undefined: the agent cannot see an uninstall, so its rules always stay. */
  home: Home | undefined;
  /** Called when this process listens on the health port: the kubelet's probes reach it until the process ends. */
  holdsHealthPort?(): void;
}

/**
 * Keeps the rules of the node's magic IPs up to date until the signal aborts. Existing rules with targets stay until
 * the first selector was listed, and those of an address until its own selector was listed. At the end the rules are
 * removed only if the whole installation is being removed.
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

/** When the previous agent wrote its rules; they stay until the pods are known, even without an API server. */
async function rulesSince({ backend, config, log }: AgentParts): Promise<Date | undefined> {
  const seconds = await backend.writeTime(config.instance).catch(() => undefined);
  const since = new Date((seconds ?? Number.NaN) * 1000);
  // Also where another version or another program wrote an invalid time.
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

/** Posts an event; if that fails, the log and the readiness report still say the same. */
function post({ api, home, nodeName, log }: AgentParts, event: Event): void {
  postEvent(api, home, nodeName, event).catch((error: unknown) =>
    log.debug({ err: error }, "the event could not be posted"),
  );
}
