// A client: calls ADDRESS:PORT once, or for a while, and prints a JSON line a call: the answer and the milliseconds.
//
//   node call.mjs tcp|udp ADDRESS PORT                     one call
//   node call.mjs tcp|udp ADDRESS PORT INTERVAL_MS         calls until SIGTERM
//
// TCP opens a new connection for each call. UDP uses one socket for all of them, the way a statsd client does.
import { createSocket } from "node:dgram";
import { createConnection } from "node:net";

const [transport, address, port, interval] = process.argv.slice(2);
const deadline = 2_000;

/** One HTTP request by hand: the client must not retry or keep connections on its own. */
function callTcp() {
  return new Promise((resolve) => {
    let text = "";
    const socket = createConnection({ host: address, port: Number(port), timeout: deadline });
    socket.on("connect", () =>
      socket.write(`GET / HTTP/1.0\r\nHost: ${address}\r\nConnection: close\r\n\r\n`),
    );
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("timeout", () => socket.destroy(Object.assign(new Error("no answer"), { code: "ETIMEDOUT" })));
    socket.on("error", (error) => resolve({ error: error.code ?? error.message }));
    socket.on("close", () => resolve(parse(text.split("\r\n\r\n")[1])));
  });
}

// A connected socket is told of ICMP port-unreachable (ECONNREFUSED).
let connected;
function udpSocket() {
  connected ??= new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    socket.once("error", reject);
    socket.connect(Number(port), address, () => resolve(socket.off("error", reject)));
  });
  return connected;
}

async function callUdp() {
  const socket = await udpSocket();
  return new Promise((resolve) => {
    const end = (result) => {
      clearTimeout(timer);
      socket.off("message", answered).off("error", failed);
      resolve(result);
    };
    const answered = (message) => end(parse(String(message)));
    const failed = (error) => end({ error: error.code ?? error.message });
    const timer = setTimeout(() => end({ error: "ETIMEDOUT" }), interval ? 250 : deadline);
    socket.on("message", answered).on("error", failed);
    socket.send("?");
  });
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { error: "EMPTY" };
  }
}

async function call() {
  const at = Date.now();
  const started = performance.now();
  const result = await (transport === "udp" ? callUdp() : callTcp()).catch((error) => ({
    error: error.code ?? error.message,
  }));
  console.log(
    JSON.stringify({ ...result, at, milliseconds: Math.round((performance.now() - started) * 100) / 100 }),
  );
}

if (interval === undefined) {
  await call();
  process.exit(0);
}

for (const ending of ["SIGTERM", "SIGINT"]) process.on(ending, () => process.exit(0));
// TCP calls overlap when they are slow, so that the rate holds; UDP ones take turns on their socket.
if (transport === "tcp") setInterval(call, Number(interval));
else for (;;) await Promise.all([call(), new Promise((resolve) => setTimeout(resolve, Number(interval)))]);
