import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { HealthPortError, type HealthSource, serveHealth, serveMetrics } from "../../agent/health.ts";
import { Status } from "../../agent/status.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** Counts how often the kernel is asked. */
function source(): HealthSource & { asked: number } {
  const status = new Status();
  return {
    asked: 0,
    report: () => status.report(),
    counts() {
      this.asked++;
      const none = { packets: 0, bytes: 0 };
      const count = { binding: "169.254.210.210:80/tcp", traffic: { packets: 3, bytes: 180 } };
      return Promise.resolve([{ ...count, rejected: none, outside: none }]);
    },
  };
}

async function listening(host?: string): Promise<{ server: Server; port: number }> {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

async function freePort(): Promise<number> {
  const { server, port } = await listening();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function get(url: string): Promise<{ status: number; text: string }> {
  const response = await fetch(url);
  return { status: response.status, text: await response.text() };
}

describe("the health endpoints", () => {
  it("are on loopback, with the metrics", async () => {
    const port = await freePort();
    servers.push(await serveHealth(port, source()));
    expect(await get(`http://127.0.0.1:${port}/livez`)).toMatchObject({ status: 200 });
    expect(await get(`http://127.0.0.1:${port}/readyz`)).toMatchObject({ status: 503 });
    const { text } = await get(`http://127.0.0.1:${port}/metrics`);
    expect(text).toContain('magic_ip_packets_total{binding="169.254.210.210:80/tcp"} 3\n');
    await expect(fetch(`http://[::1]:${port}/livez`)).rejects.toThrow("fetch failed");
  });

  it("name their port when it is taken", async () => {
    const { port } = await listening("127.0.0.1");
    await expect(serveHealth(port, source())).rejects.toThrow(HealthPortError);
  });
});

describe("the metrics port", () => {
  async function serve(port: number, of = source()) {
    const told: (string | undefined)[] = [];
    const stop = new AbortController();
    const stopped = serveMetrics(port, of, (message) => void told.push(message), stop.signal, 50);
    return { told, end: () => (stop.abort(), stopped) };
  }

  it("has the metrics of every family, and nothing else", async () => {
    const port = await freePort();
    const { told, end } = await serve(port);
    await expect.poll(() => told).toEqual([undefined]);
    for (const host of ["127.0.0.1", "127.0.0.2", "[::1]"]) {
      const { status, text } = await get(`http://${host}:${port}/metrics`);
      expect([status, text]).toEqual([200, expect.stringContaining("magic_ip_ready 0\n")]);
    }
    expect(await get(`http://127.0.0.1:${port}/readyz`)).toEqual({ status: 404, text: "/metrics\n" });
    await end();
    await expect(fetch(`http://127.0.0.1:${port}/metrics`)).rejects.toThrow("fetch failed");
  });

  it("asks the kernel once a second, however many ask it", async () => {
    const port = await freePort();
    const of = source();
    const { told, end } = await serve(port, of);
    await expect.poll(() => told).toEqual([undefined]);
    await Promise.all(Array.from({ length: 20 }, () => get(`http://127.0.0.1:${port}/metrics`)));
    expect(of.asked).toBe(1);
    await end();
  });

  it("is said to be taken, and had as soon as it is free", async () => {
    const { server, port } = await listening("127.0.0.1");
    const { told, end } = await serve(port);
    const taken = `port ${port} for /metrics is in use on this node: free it, or set metricsPort to another`;
    await expect.poll(() => told[0]).toBe(taken);
    expect(told).not.toContain(undefined);
    server.close();
    await expect.poll(() => told.at(-1)).toBeUndefined();
    expect(await get(`http://127.0.0.1:${port}/metrics`)).toMatchObject({ status: 200 });
    await end();
  });

  it("is given up at the end, taken or not", async () => {
    const { port } = await listening("127.0.0.1");
    const { told, end } = await serve(port);
    await expect.poll(() => told.length).toBeGreaterThan(1);
    await end();
  });
});
