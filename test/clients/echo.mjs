// A target: answers over HTTP and UDP with who it is, so that a test knows which pod got the packet.
// Environment: POD, NODE, POD_UID (all optional), PORT (default 8080; several with commas), HOST (default every
// address of both families; several with commas).
// A large datagram is answered by one of the same size.
// With DRAIN_SECONDS it goes on serving that long after SIGTERM, as a well-behaved target does.
import { createSocket } from "node:dgram";
import { createServer } from "node:http";
import { isIPv4 } from "node:net";
import { hostname } from "node:os";

const {
  POD = hostname(),
  NODE = "",
  POD_UID = "",
  PORT = "8080",
  HOST = "",
  DRAIN_SECONDS = "0",
} = process.env;

const answer = (client, transport, port) =>
  `${JSON.stringify({ pod: POD, node: NODE, uid: POD_UID, client: plain(client), transport, port })}\n`;

/** A socket of both families says ::ffff:10.9.0.2 for an IPv4 client. */
const plain = (address = "") => address.replace(/^::ffff:/, "");

/** Without a host Node.js takes both families, or IPv4 alone where the machine has no IPv6. */
function serveTcp(port, host) {
  const server = createServer(({ socket }, response) => {
    response.setHeader("content-type", "application/json");
    response.end(answer(socket.remoteAddress, "tcp", port));
  });
  server.keepAliveTimeout = 60_000;
  return new Promise((resolve, reject) => server.once("error", reject).listen(port, host, resolve));
}

function serveUdp(port, host) {
  if (host !== undefined) return bindUdp(isIPv4(host) ? "udp4" : "udp6", port, host);
  return bindUdp("udp6", port, "::").catch(() => bindUdp("udp4", port, "0.0.0.0"));
}

function bindUdp(type, port, host) {
  const socket = createSocket(type);
  socket.on("message", ({ length }, from) =>
    socket.send(answer(from.address, "udp", port).padEnd(length), from.port, from.address),
  );
  return new Promise((resolve, reject) =>
    socket.once("error", reject).bind(port, host, () => {
      // An answer to a client that is gone must not end the target.
      resolve(socket.off("error", reject).on("error", () => {}));
    }),
  );
}

process.on("SIGTERM", () => setTimeout(() => process.exit(0), Number(DRAIN_SECONDS) * 1000));

const hosts = HOST === "" ? [undefined] : HOST.split(",");
const places = PORT.split(",").flatMap((port) => hosts.map((host) => [Number(port), host]));
await Promise.all(places.flatMap((place) => [serveTcp(...place), serveUdp(...place)]));
console.log(`${POD} answers on ${PORT}`);
