// A client: calls ADDRESS:PORT and prints a JSON line a call: the answer and the milliseconds.
//
//   node call.mjs tcp|udp ADDRESS PORT                     one call
//   node call.mjs tcp|udp ADDRESS PORT INTERVAL_MS [DEADLINE_MS]   calls until SIGTERM
//   node call.mjs requests FIRST_UDP_PORT                  calls as JSON lines on stdin ask for, until it ends
//
// TCP opens a new connection for each call. UDP uses one socket for all of them, the way a statsd client does.
//
// A request is { id, transport: "tcp" | "udp" | "icmp", address, port } and optionally
//   deadline  milliseconds to wait for an answer
//   source    the client's own address
//   sourcePort  its own port (TCP)
//   keep      a name: calls with the same name share one connection or socket, opened by the first of them
//   bytes     the size of its datagram; the answer says how many came back
import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { createConnection, isIPv6 } from "node:net";
import { createInterface } from "node:readline";

const patience = 2_000;
const kept = new Map();
// A client that is asked for calls uses no port of UDP twice: the kernel would pick one again by chance, and conntrack
// take the new socket for the old one. 0 leaves it to the kernel.
let nextUdpPort = 0;

async function call({ transport, ...request }) {
  const at = Date.now();
  const started = performance.now();
  const calls = { tcp: callTcp, udp: callUdp, icmp: ping };
  const result = await calls[transport](request).catch((error) => ({ error: error.code ?? error.message }));
  return { ...result, at, milliseconds: Math.round((performance.now() - started) * 100) / 100 };
}

/** HTTP by hand: the client must not retry or share connections on its own. */
async function callTcp({ address, port, deadline = patience, source, sourcePort, keep }) {
  const connection = connectionFor(keep, () =>
    createConnection({ host: address, port: Number(port), localAddress: source, localPort: sourcePort }),
  );
  return new Promise((resolve) => {
    let text = "";
    const end = (result) => {
      clearTimeout(timer);
      for (const [event, listener] of listeners) connection.off(event, listener);
      if (keep === undefined || result.error !== undefined) connection.on("error", () => {}).destroy();
      resolve(result);
    };
    const received = (chunk) => {
      text += chunk;
      const body = text.split("\r\n\r\n")[1];
      if (body?.endsWith("}\n")) end(parse(body));
    };
    const listeners = [
      ["data", received],
      ["error", (error) => end({ error: error.code ?? error.message })],
      ["close", () => end({ error: "EMPTY" })],
    ];
    const timer = setTimeout(() => end({ error: "ETIMEDOUT" }), deadline);
    for (const [event, listener] of listeners) connection.on(event, listener);
    if (connection.destroyed) return end({ error: connection.ended ?? "EMPTY" });
    const close = keep === undefined ? "Connection: close\r\n" : "";
    connection.write(`GET / HTTP/1.${keep === undefined ? 0 : 1}\r\nHost: target\r\n${close}\r\n`);
  });
}

/** What the kernel says of a connection between two calls is the answer to the next one. */
function connectionFor(keep, open) {
  const known = keep === undefined ? undefined : kept.get(keep);
  if (known !== undefined) return known;
  const connection = open();
  connection.setNoDelay(true).on("error", (error) => (connection.ended = error.code));
  if (keep !== undefined) kept.set(keep, connection);
  return connection;
}

// A connected socket is told of ICMP port-unreachable (ECONNREFUSED).
async function callUdp({ address, port, deadline = patience, source, keep, bytes }) {
  const socket = await socketFor(keep, () => connectUdp(address, port, source));
  return new Promise((resolve) => {
    const end = (result) => {
      clearTimeout(timer);
      socket.off("message", answered).off("error", failed);
      if (keep === undefined) socket.close();
      resolve(result);
    };
    const size = (message) => (bytes === undefined ? {} : { bytes: message.length });
    const answered = (message) => end({ ...parse(String(message)), ...size(message) });
    const failed = (error) => end({ error: error.code ?? error.message });
    const timer = setTimeout(() => end({ error: "ETIMEDOUT" }), deadline);
    socket.on("message", answered).on("error", failed);
    socket.send("?".padEnd(bytes ?? 1));
  });
}

function connectUdp(address, port, source) {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    socket.once("error", reject);
    const connected = (error) => {
      if (error === undefined) return resolve(socket.off("error", reject).on("error", () => {}));
      socket.close();
      reject(error);
    };
    const connect = () => socket.connect(Number(port), address, connected);
    socket.bind(nextUdpPort === 0 ? 0 : nextUdpPort++, source, connect);
  });
}

async function socketFor(keep, open) {
  if (keep === undefined) return open();
  if (!kept.has(keep)) kept.set(keep, open());
  return kept.get(keep);
}

function ping({ address, deadline = patience, source }) {
  const args = ["-n", "-c1", "-W", String(deadline / 1000)];
  const from = source === undefined ? [] : ["-I", source];
  return new Promise((resolve, reject) => {
    execFile("ping", [...args, ...from, address], (error, stdout, stderr) => {
      if (error?.code === "ENOENT") reject(error);
      else if (error === null) resolve({});
      else resolve({ error: pingError(`${stdout}${stderr}`) });
    });
  });
}

function pingError(text) {
  if (/port unreachable/i.test(text)) return "ECONNREFUSED";
  if (/network is unreachable/i.test(text)) return "ENETUNREACH";
  return /unreachable/i.test(text) ? "EHOSTUNREACH" : "ETIMEDOUT";
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { error: "EMPTY" };
  }
}

const print = (value) => console.log(JSON.stringify(value));

async function serveRequests(firstUdpPort) {
  nextUdpPort = firstUdpPort;
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, ...request } = JSON.parse(line);
    void call(request).then((answer) => print({ id, ...answer }));
  }
  process.exit(0);
}

async function callUntilEnded(request, interval) {
  for (const ending of ["SIGTERM", "SIGINT"]) process.on(ending, () => process.exit(0));
  const callOnce = async () => print(await call(request));
  // TCP calls overlap when they are slow, so that the rate holds; UDP ones take turns on their socket.
  if (request.transport === "tcp") setInterval(callOnce, interval);
  else for (;;) await Promise.all([callOnce(), new Promise((resolve) => setTimeout(resolve, interval))]);
}

const [transport, address, port, interval, deadline = "250"] = process.argv.slice(2);
if (transport === "requests") await serveRequests(Number(address));
else if (interval === undefined) {
  print(await call({ transport, address, port }));
  process.exit(0);
} else {
  const ofUdp = transport === "udp" ? { keep: "socket", deadline: Number(deadline) } : {};
  await callUntilEnded({ transport, address, port, ...ofUdp }, Number(interval));
}
