import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, expect, it } from "vitest";
import { AgentInNamespace } from "./agent-in-namespace.ts";

const agents: AgentInNamespace[] = [];
afterAll(() => Promise.all(agents.map((agent) => agent.stop())));

async function start(metricsPort: number): Promise<AgentInNamespace> {
  const agent = await AgentInNamespace.start({ monitored: false, given: { metricsPort } });
  agents.push(agent);
  return agent;
}

async function listening() {
  const server = createServer().listen(0);
  await new Promise((resolve) => server.once("listening", resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

it("an agent with a metrics port has what the kernel counts there, and how long it took to write to it", async () => {
  const { server, port } = await listening();
  await new Promise((resolve) => server.close(resolve));
  await start(port);
  const text = await (await fetch(`http://[::1]:${port}/metrics`)).text();
  expect(text).toContain("magic_ip_ready 1\n");
  expect(text).toMatch(/^magic_ip_packets_total\{binding="169\.254\.210\.210:80\/tcp"\} 0$/m);
  expect(text).toMatch(
    /^# TYPE magic_ip_sync_seconds summary\nmagic_ip_sync_seconds_sum \d+\.\d+\nmagic_ip_sync_seconds_count [1-9]\d*$/m,
  );
});

it("an agent whose metrics port is taken is ready all the same, and says so", async () => {
  const { server, port } = await listening();
  const agent = await start(port);
  const { ready, reasons } = await agent.report();
  expect(ready).toBe(true);
  expect(reasons).toEqual([
    `port ${port} for /metrics is in use on this node: free it, or set metricsPort to another`,
  ]);
  await new Promise((resolve) => server.close(resolve));
});
