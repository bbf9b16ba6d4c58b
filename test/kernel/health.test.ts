import { setTimeout as delay } from "node:timers/promises";
import { afterAll, expect, it } from "vitest";
import type { Api } from "../../agent/api.ts";
import { AgentInNamespace, onePod } from "./agent-in-namespace.ts";

const agents: AgentInNamespace[] = [];
afterAll(() => Promise.all(agents.map((agent) => agent.stop())));

/** Probes come before the pods are known. */
const slow: Api = { ...onePod, get: (...args) => delay(500).then(() => onePod.get(...args)) };

it.each([
  ["two interfaces", "typeof iifname . oifname; elements = { eth0 . eth1 }"],
  ["a time alone", "type mark; elements = { 7 }"],
  ["missing", "type mark . mark"],
])("an agent that finds rules whose stamp is %s answers its probes", async (_what, written) => {
  const nodeBefore = `table inet magic-ip-test.echo {\nset written {\n${written}\n}\n}\n`;
  const agent = await AgentInNamespace.start({ monitored: false, api: slow, nodeBefore });
  agents.push(agent);
  expect((await agent.report()).ready).toBe(true);
});
