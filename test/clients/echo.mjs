// A target: answers over HTTP and UDP with who it is, so that a test knows which pod got the packet.
// Environment: POD, NODE, POD_UID (all optional), PORT (default 8080), READY_FILE.
// With DRAIN_SECONDS it goes on serving that long after SIGTERM, as a well-behaved target does.
import { createSocket } from "node:dgram";
import { createServer } from "node:http";
import { hostname } from "node:os";

const { POD = hostname(), NODE = "", POD_UID = "", PORT = "8080", DRAIN_SECONDS = "0" } = process.env;

const answer = (client, transport) =>
  `${JSON.stringify({ pod: POD, node: NODE, uid: POD_UID, client, transport })}\n`;

createServer((request, response) => {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(answer(request.socket.remoteAddress?.replace("::ffff:", "") ?? "", "tcp"));
}).listen(Number(PORT), "0.0.0.0", () => console.log(`${POD} answers on ${PORT}`));

const udp = createSocket("udp4");
udp.on("message", (_message, from) => udp.send(answer(from.address, "udp"), from.port, from.address));
udp.bind(Number(PORT), "0.0.0.0");

process.on("SIGTERM", () => setTimeout(() => process.exit(0), Number(DRAIN_SECONDS) * 1000));
