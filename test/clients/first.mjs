// A client that waits for somebody, for whoever listens on a Unix socket: node first.mjs SOCKET
// For each line { address, port, uid } from there it opens a TCP connection every other millisecond until one of them is
// answered by that uid, and answers { at, dialed }: the time of that answer, in milliseconds since 1970, and how many
// connections it took. Ends with the socket.
import { createConnection } from "node:net";
import { createInterface } from "node:readline";

const every = 2;
const patience = 10_000;
const now = () => performance.timeOrigin + performance.now();

function first({ address, port, uid }) {
  return new Promise((resolve) => {
    let dialed = 0;
    const end = (result) => {
      clearInterval(dialing);
      clearTimeout(timer);
      resolve({ ...result, dialed });
    };
    const dialing = setInterval(() => {
      dialed++;
      dial(address, port, (answer) => answer.includes(`"uid":"${uid}"`) && end({ at: now() }));
    }, every);
    const timer = setTimeout(() => end({ error: "ETIMEDOUT" }), patience);
  });
}

/** HTTP by hand: the client must not retry or share connections on its own. */
function dial(address, port, answered) {
  const socket = createConnection({ host: address, port });
  let text = "";
  socket.on("error", () => {}).on("connect", () => socket.write("GET / HTTP/1.0\r\nHost: target\r\n\r\n"));
  socket.on("data", (chunk) => {
    text += chunk;
    if (!text.endsWith("}\n")) return;
    answered(text);
    socket.destroy();
  });
  socket.setTimeout(patience, () => socket.destroy());
}

const asking = createConnection(process.argv[2]);
for await (const line of createInterface({ input: asking }))
  asking.write(`${JSON.stringify(await first(JSON.parse(line)))}\n`);
process.exit(0);
