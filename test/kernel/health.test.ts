import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, expect, it } from "vitest";
import type { Api } from "../../agent/kubernetes/api.ts";
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

it("an agent whose health port is another process's keeps the rules in step, says so, and has it when it is free", async () => {
  const other = createServer((_request, response) => response.end("ok\n")).listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  const { port } = other.address() as AddressInfo;
  const agent = await AgentInNamespace.start({
    ...{ monitored: false, given: { healthPort: port } },
    started: async (started) => (await started.rules()).includes("10.244.1.7"),
  });
  agents.push(agent);
  expect(agent.holdsHealthPort).toBe(false);
  await new Promise((resolve) => other.close(resolve));
  await expect
    .poll(async () => await (await fetch(`http://127.0.0.1:${port}/readyz`)).json(), { timeout: 5_000 })
    .toMatchObject({ ready: true, reasons: [] });
  expect(agent.holdsHealthPort).toBe(true);
});
