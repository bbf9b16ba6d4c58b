import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { type HealthSource, serveHealth, serveMetrics } from "../../agent/status/health.ts";
import { Status } from "../../agent/status/status.ts";

const servers: Server[] = [];
const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  for (const end of ends.splice(0)) await end();
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

/** What the health endpoints tell while they are served. */
async function health(port: number, of: HealthSource = source()) {
  return await served(serveHealth, port, of);
}

async function served(serve: typeof serveHealth, port: number, of: HealthSource) {
  const told: (string | undefined)[] = [];
  const failures: unknown[] = [];
  const stop = new AbortController();
  const trouble = (message: string | undefined) => void told.push(message);
  const failed = (error: unknown) => void failures.push(error);
  const stopped = serve({ port, source: of, trouble, failed, retry: 50 }, stop.signal);
  const end = () => (stop.abort(), stopped);
  ends.push(end);
  await expect.poll(() => told.length).toBeGreaterThan(0);
  return { told, failures, end };
}

/** Clients that say this and then wait, whatever comes; how many of them are still connected. */
async function clients(port: number, count: number, words: string): Promise<() => number> {
  const sockets: Socket[] = [];
  let closed = 0;
  for (let index = 0; index < count; index++) {
    const socket = connect(port, "127.0.0.1", () => socket.write(words));
    socket
      .on("error", () => {})
      .on("close", () => closed++)
      .resume();
    sockets.push(socket);
    // So that none of them waits in the kernel's queue for the server.
    if (index % 50 === 49) await delay(5);
  }
  ends.push(async () => sockets.forEach((socket) => socket.destroy()));
  return () => count - closed;
}

describe("the health endpoints", () => {
  it("are on loopback, with the metrics", async () => {
    const port = await freePort();
    await health(port);
    expect(await get(`http://127.0.0.1:${port}/livez`)).toMatchObject({ status: 200 });
    expect(await get(`http://127.0.0.1:${port}/readyz`)).toMatchObject({ status: 503 });
    const { text } = await get(`http://127.0.0.1:${port}/metrics`);
    expect(text).toContain('magic_ip_packets_total{binding="169.254.210.210:80/tcp"} 3\n');
    expect(await get(`http://127.0.0.1:${port}/else`)).toMatchObject({ status: 404 });
    expect(await get(`http://127.0.0.1:${port}/livez?verbose`)).toMatchObject({ status: 200 });
    await expect(fetch(`http://[::1]:${port}/livez`)).rejects.toThrow("fetch failed");
  });

  it("say that their port is taken, and are there as soon as it is free", async () => {
    const { server, port } = await listening("127.0.0.1");
    const { told } = await health(port);
    expect(told[0]).toBe(
      `port ${port} on 127.0.0.1, for the health endpoints, is in use on this node: free it (ss -ltnp names the process), or set healthPort to another`,
    );
    server.close();
    await expect.poll(() => told.at(-1)).toBeUndefined();
    expect(await get(`http://127.0.0.1:${port}/livez`)).toMatchObject({ status: 200 });
  });

  it("answer 500 where an answer cannot be made, and go on", async () => {
    const port = await freePort();
    let broken = true;
    const report = () => {
      if (broken) throw new RangeError("Invalid time value");
      return new Status().report();
    };
    const { failures } = await health(port, { ...source(), report });
    expect(await get(`http://127.0.0.1:${port}/readyz`)).toMatchObject({ status: 500 });
    expect(failures).toEqual([expect.any(RangeError)]);
    broken = false;
    await expect.poll(async () => (await get(`http://127.0.0.1:${port}/readyz`)).status).toBe(503);
  });

  it.each([
    ["15 kB of a header without an end", `GET /livez HTTP/1.1\r\nhost: x\r\nx: ${"a".repeat(15_000)}`],
    ["a header that goes on for ever", "GET /livez HTTP/1.1\r\nx: a"],
    ["nothing", ""],
    [
      "a request whose body never comes",
      "POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n",
    ],
    ["request after request at once", "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1_000)],
  ])("answer at once beside 400 clients that send %s, and keep 16 of them", async (_what, words) => {
    const port = await freePort();
    await health(port);
    const connected = await clients(port, 400, words);
    const started = performance.now();
    expect(await get(`http://127.0.0.1:${port}/livez`)).toEqual({ status: 200, text: "ok\n" });
    expect(performance.now() - started).toBeLessThan(2_000);
    await expect.poll(connected, { timeout: 5_000 }).toBeLessThanOrEqual(16);
    // A connection that says nothing whole has 2 s.
    await expect.poll(connected, { timeout: 10_000 }).toBe(0);
  });
});

it("a request line that is no HTTP is read in as little time as one that is", async () => {
  const port = await freePort();
  await health(port);
  const ask = (words: string) =>
    new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1", () => socket.write(words));
      socket.on("close", resolve).resume();
    });
  const path = "a".repeat(1_900);
  const times = { right: 0, wrong: 0 };
  for (let index = 0; index < 150; index++) {
    for (const [kind, words] of [
      ["right", `GET /${path} HTTP/1.1\r\n\r\n`] as const,
      ["wrong", `GET /${path}\r\n\r\n`] as const,
    ]) {
      const began = performance.now();
      await ask(words);
      times[kind] += performance.now() - began;
    }
  }
  expect(times.wrong / times.right).toBeLessThan(3);
});

describe("the metrics port", () => {
  const serve = (port: number, of = source()) => served(serveMetrics, port, of);

  it("has the metrics of every family, and nothing else", async () => {
    const port = await freePort();
    const { told, end } = await serve(port);
    expect(told).toEqual([undefined]);
    for (const host of ["127.0.0.1", "127.0.0.2", "[::1]"]) {
      const { status, text } = await get(`http://${host}:${port}/metrics`);
      expect([status, text]).toEqual([200, expect.stringContaining("magic_ip_ready 0\n")]);
    }
    expect(await get(`http://127.0.0.1:${port}/readyz`)).toEqual({ status: 404, text: "/metrics\n" });
    await end();
    await expect(fetch(`http://127.0.0.1:${port}/metrics`)).rejects.toThrow("fetch failed");
  });

  it("asks the kernel once a second, however many ask it, and once while that takes longer", async () => {
    const port = await freePort();
    const of = source();
    const { counts } = of;
    of.counts = async () => (await delay(1_500), await counts.call(of));
    await serve(port, of);
    const ask = () => get(`http://127.0.0.1:${port}/metrics`);
    const early = Array.from({ length: 8 }, ask);
    await delay(1_200);
    await Promise.all([...early, ...Array.from({ length: 8 }, ask)]);
    expect(of.asked).toBe(1);
  });

  it("answers Prometheus beside 100 clients of the network that send nothing", async () => {
    const port = await freePort();
    await serve(port);
    await clients(port, 100, "");
    expect(await get(`http://127.0.0.1:${port}/metrics`)).toMatchObject({ status: 200 });
  });

  it("is said to be taken, and had as soon as it is free", async () => {
    const { server, port } = await listening("127.0.0.1");
    const { told } = await serve(port);
    const taken = `port ${port} for /metrics is in use on this node: free it, or set metricsPort to another`;
    expect(told[0]).toBe(taken);
    expect(told).not.toContain(undefined);
    server.close();
    await expect.poll(() => told.at(-1)).toBeUndefined();
    expect(await get(`http://127.0.0.1:${port}/metrics`)).toMatchObject({ status: 200 });
  });

  it("is given up at the end, taken or not", async () => {
    const { port } = await listening("127.0.0.1");
    const { told, end } = await serve(port);
    await expect.poll(() => told.length).toBeGreaterThan(1);
    await end();
  });
});
