// A client that never stops: new TCP connections, or datagrams of one UDP socket, at a steady rate to several places at
// once, until SIGTERM. Then it prints as JSON what became of them, by place.
//
//   node load.mjs JSON
//
// JSON is { NAME: { transport: "tcp" | "udp", address, port, every } }, `every` in milliseconds. Of each place it prints
//   count     connections opened, or datagrams sent
//   failed    those for which no connection came about: { at, error }; of UDP, what the kernel said of the socket
//   lost      connections on which no answer came: { at, error }
//   runs      who answered, in the order of the answers: { uid, first, last, answers }
//   gaps      the longest times without an answer: { at, milliseconds, idle, from, to }; `idle` is the
//             longest time in it in which this client, for want of the processor, asked nothing; without it
//             they are sorted, the longest first
//
// Times are milliseconds since 1970.
import { createSocket } from "node:dgram";
import { createConnection } from "node:net";

const patience = 3_000;
const keptGaps = 200;
const now = () => performance.timeOrigin + performance.now();

const silence = ({ milliseconds, idle }) => milliseconds - idle;

class Place {
  count = 0;
  failed = [];
  lost = [];
  runs = [];
  gaps = [];
  #last = { at: now(), uid: "" };
  #asked = now();
  #idle = 0;

  asks() {
    const at = now();
    this.#idle = Math.max(this.#idle, at - this.#asked);
    this.#asked = at;
    this.count++;
  }

  answered(text) {
    const uid = /"uid":"([^"]*)"/.exec(text)?.[1] ?? "";
    const at = now();
    this.#endGap(at, uid);
    const run = this.runs.at(-1);
    if (run?.uid === uid) Object.assign(run, { last: at, answers: run.answers + 1 });
    else this.runs.push({ uid, first: at, last: at, answers: 1 });
  }

  #endGap(at, uid) {
    const { at: since, uid: from } = this.#last;
    this.gaps.push({ at: since, milliseconds: at - since, idle: this.#idle, from, to: uid });
    this.#last = { at, uid };
    this.#idle = 0;
    if (this.gaps.length > 2 * keptGaps) this.#keepLongest();
  }

  #keepLongest() {
    this.gaps.sort((one, other) => silence(other) - silence(one)).splice(keptGaps);
  }

  report() {
    // Nobody has answered since.
    if (this.#asked > this.#last.at) this.#endGap(this.#asked, "");
    this.#keepLongest();
    const { count, failed, lost, runs, gaps } = this;
    return { count, failed, lost, runs, gaps };
  }
}

/** HTTP by hand: the client must not retry or share connections on its own. */
function connectOnce(place, { address, port }) {
  const at = now();
  const socket = createConnection({ host: address, port });
  let isConnected = false;
  let isOver = false;
  let text = "";
  const end = (error) => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    socket.destroy();
    if (error === undefined) place.answered(text);
    else (isConnected ? place.lost : place.failed).push({ at, error });
  };
  const timer = setTimeout(() => end("ETIMEDOUT"), patience);
  socket.on("connect", () => {
    isConnected = true;
    socket.write("GET / HTTP/1.0\r\nHost: target\r\nConnection: close\r\n\r\n");
  });
  socket.on("data", (chunk) => {
    text += chunk;
    if (text.endsWith("}\n")) end();
  });
  socket.on("error", (error) => end(error.code ?? error.message));
  socket.on("close", () => end("EMPTY"));
}

async function datagrams(place, { address, port }) {
  const socket = createSocket("udp4");
  await new Promise((resolve) => socket.connect(port, address, resolve));
  socket.on("message", (message) => place.answered(String(message)));
  socket.on("error", (error) => place.failed.push({ at: now(), error: error.code ?? error.message }));
  return () => socket.send("?", () => {});
}

/** Keeps the rate also where timers come late. */
function keepPace(place, every, act) {
  const started = performance.now();
  return setInterval(() => {
    const due = Math.floor((performance.now() - started) / every);
    while (place.count < due) {
      place.asks();
      act();
    }
  }, every);
}

const places = Object.entries(JSON.parse(process.argv[2])).map(([name, wanted]) => ({
  name,
  wanted,
  place: new Place(),
}));
const timers = [];
for (const { wanted, place } of places) {
  const act = wanted.transport === "udp" ? await datagrams(place, wanted) : () => connectOnce(place, wanted);
  timers.push(keepPace(place, wanted.every, act));
}
console.log("calling");

process.once("SIGTERM", () => {
  for (const timer of timers) clearInterval(timer);
  // What is under way is waited for.
  setTimeout(() => {
    const reports = Object.fromEntries(places.map(({ name, place }) => [name, place.report()]));
    process.stdout.write(`${JSON.stringify(reports)}\n`, () => process.exit(0));
  }, patience + 100);
});
