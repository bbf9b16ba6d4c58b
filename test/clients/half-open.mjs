// A process that opens connections and sends an HTTP header on each that it never ends, until SIGTERM.
//
//   node half-open.mjs ADDRESS PORT CONNECTIONS BYTES
//
// What the server closes is opened anew, so that there are always as many.
import { createConnection } from "node:net";

const [address, port, connections, bytes] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const header = `GET /readyz HTTP/1.1\r\nHost: x\r\nX-Long: ${"x".repeat(bytes)}`;

function open() {
  const socket = createConnection({ host: address, port });
  socket.on("connect", () => socket.write(header));
  socket.on("error", () => {});
  socket.on("close", () => setTimeout(open, 20));
}

for (let count = 0; count < connections; count++) open();
console.log("open");
