import { createSocket, type Socket } from "node:dgram";
import { type AddressInfo, createServer, type Server } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { call, callPatiently, parseCallee } from "../../agent/commands/calling.ts";
import { runCli } from "../../agent/commands/program.ts";

const open: (Server | Socket)[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

async function tcpServer(host: string, port = 0): Promise<number> {
  const server = createServer();
  open.push(server);
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  return (server.address() as AddressInfo).port;
}

async function udpServer(ip: string, answer: boolean): Promise<number> {
  const socket = createSocket(ip.includes(":") ? "udp6" : "udp4");
  open.push(socket);
  if (answer) socket.on("message", (_, { port, address }) => socket.send("pong", port, address));
  await new Promise<void>((resolve) => socket.bind(0, ip, resolve));
  return socket.address().port;
}

/** Nobody listens there now. */
async function silentPort(): Promise<number> {
  const port = await tcpServer("127.0.0.1");
  await new Promise((resolve) => open.pop()?.close(resolve as () => void));
  return port;
}

async function agent(...argv: string[]) {
  const said = { out: "", err: "" };
  const terminal = {
    out: (text: string) => void (said.out += text),
    err: (text: string) => void (said.err += text),
  };
  return { code: await runCli(argv, {}, terminal), ...said };
}

describe("a place to call", () => {
  it.each([
    ["169.254.210.210:8126", { ip: "169.254.210.210", port: 8126, protocol: "tcp" }],
    ["169.254.210.210:8125/UDP", { ip: "169.254.210.210", port: 8125, protocol: "udp" }],
    ["[fd00:210::210]:9411/tcp", { ip: "fd00:210::210", port: 9411, protocol: "tcp" }],
  ])("is read from %s", (text, callee) => {
    expect(parseCallee(text)).toEqual(callee);
  });

  it.each([
    "169.254.210.210",
    "fd00::1:80",
    "[10.1.2.3]:80",
    "10.1.2.3:0",
    "10.1.2.3:65536",
    "a:80",
    "10.1.2.3:80/sctp",
  ])("cannot be %s, and the command ends with 2 and says what would do", async (text) => {
    const { code, err } = await agent("call", text);
    expect(err).toContain(`"${text}" cannot be called: write IP:port, as 169.254.210.210:8126`);
    expect(code).toBe(2);
  });
});

describe("call", () => {
  it.each(["127.0.0.1", "::1"])("connects to %s by TCP", async (ip) => {
    const port = await tcpServer(ip);
    const { answered, text } = await call({ ip, port, protocol: "tcp" }, 1_000);
    expect(text).toMatch(/:\d+\/tcp answers: connected within \d+ ms$/);
    expect(answered).toBe(true);
  });

  it.each([
    ["127.0.0.1", true, "answers: a datagram came back"],
    ["127.0.0.1", false, "refuses no datagram within 300 ms"],
    ["::1", false, "refuses no datagram within 300 ms"],
  ])("sends datagrams to %s", async (ip, answers, words) => {
    const callee = { ip, port: await udpServer(ip, answers), protocol: "udp" } as const;
    expect(await call(callee, 300)).toEqual({ answered: true, text: expect.stringContaining(words) });
  });

  it.each(["tcp", "udp"] as const)("is refused by %s where nobody listens", async (protocol) => {
    const port = await silentPort();
    const started = performance.now();
    expect(await call({ ip: "127.0.0.1", port, protocol }, 2_000)).toEqual({
      answered: false,
      text: `127.0.0.1:${port}/${protocol} is refused: this node has no ready target, or the target does not listen there (ECONNREFUSED)`,
    });
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  it.each(["tcp", "udp"] as const)("cannot reach by %s what no host may be called", async (protocol) => {
    const { answered, text } = await call({ ip: "255.255.255.255", port: 80, protocol }, 300);
    expect([answered, text]).toEqual([false, expect.stringMatching(/fails|no route/)]);
  });

  it("calls again what comes up late", async () => {
    const port = await silentPort();
    setTimeout(() => void tcpServer("127.0.0.1", port), 500);
    const callee = { ip: "127.0.0.1", port, protocol: "tcp" } as const;
    expect(await callPatiently(callee, 200, 5_000)).toMatchObject({ answered: true });
    expect(await callPatiently({ ...callee, port: await silentPort() }, 200, 100)).toMatchObject({
      answered: false,
    });
  });

  it("ends with 0 when all answer, else with 1 and a line for each", async () => {
    const [tcp, udp, silent] = [
      await tcpServer("127.0.0.1"),
      await udpServer("127.0.0.1", true),
      await silentPort(),
    ];
    const good = [`127.0.0.1:${tcp}`, `127.0.0.1:${udp}/udp`];
    expect(await agent("call", ...good)).toMatchObject({ code: 0, err: "" });
    expect(await agent("call", "--udp", `127.0.0.1:${udp}`, "--timeout", "500ms")).toMatchObject({ code: 0 });
    const { code, out } = await agent("call", ...good, `127.0.0.1:${silent}`);
    expect(out.trimEnd().split("\n")).toHaveLength(3);
    expect(out).toContain(`127.0.0.1:${silent}/tcp is refused`);
    expect(code).toBe(1);
  });

  it("calls what a configuration has, and says where that is nothing", async () => {
    const directory = mkdtempSync(join(tmpdir(), "magic-ip-"));
    const file = join(directory, "config.yaml");
    const configure = (ports: string) =>
      writeFileSync(file, `{"addresses":[{"ipAddress":"10.210.0.1","selector":"a=b","ports":[${ports}]}]}`);
    configure('{"port":1,"protocol":"UDP"},{"port":2},{"port":3,"endPort":4}');
    const { out } = await agent("call", "--config", file, "--timeout", "50ms");
    expect(out).toMatch(/^10\.210\.0\.1:\d\/(tcp|udp) .*\n10\.210\.0\.1:\d\/(tcp|udp) .*\n$/);
    configure('{"port":3,"endPort":4}');
    expect(await agent("call", "--config", file)).toEqual({
      code: 2,
      out: "",
      err: `${file} has no single port of TCP or UDP, and nothing else can be called\n`,
    });
    rmSync(directory, { recursive: true });
    expect(await agent("call")).toMatchObject({
      code: 2,
      err: "nothing to call: write IP:port, or --config <file>\n",
    });
  });

  it.each(["2", "2h", "0s", "-1s", "1d"])("takes no time of %s", async (time) => {
    const { code, err } = await agent("call", "127.0.0.1:80", `--timeout=${time}`);
    expect(err).toContain("write a number with its unit, as 500ms, 2s or 1m");
    expect(code).toBe(2);
  });
});
