// A client that makes as many flows as it is told: one datagram from each of its sockets to each port of an address.
//
//   node datagrams.mjs ADDRESS FLOWS
//
// It prints how many datagrams it sent, and ends. A flow is a pair of ports, so that two sockets make 129,000 of them.
import { createSocket } from "node:dgram";
import { once } from "node:events";

const [address, flows] = [process.argv[2], Number(process.argv[3])];
const ports = 64_511;
const firstPort = 1_024;
/** Datagrams that wait in this process at a time. */
const together = 512;

let sent = 0;
while (sent < flows) {
  const socket = createSocket("udp4");
  // A port where nothing listens answers with an ICMP error.
  socket.on("error", () => {});
  socket.bind(0);
  await once(socket, "listening");
  for (let port = firstPort; port < firstPort + ports && sent < flows; port += together) {
    const batch = Array.from(
      { length: Math.min(together, firstPort + ports - port, flows - sent) },
      (_, index) => {
        return new Promise((resolve) => socket.send("", port + index, address, resolve));
      },
    );
    await Promise.all(batch);
    sent += batch.length;
  }
  socket.close();
}
console.log(sent);
