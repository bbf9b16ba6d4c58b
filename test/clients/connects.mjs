// Opens connections for the figures of speed, and the server for them.
//
//   node connects.mjs serve PORT…       takes TCP connections until they end, and answers UDP, on every port
//   node connects.mjs rates JSON        how often a second: rounds of each measure, place by place in turns
//   node connects.mjs times JSON        milliseconds until a TCP connection is there, place by place in turns
//
// JSON is { places: { NAME: { address, port } }, … }: for rates also `rounds` and `measures`,
// { NAME: { transport: "tcp" | "udp", concurrency, milliseconds } }; for times `count`. The result is printed as JSON.
import { createSocket } from "node:dgram";
import { createConnection, createServer } from "node:net";

const [mode, ...args] = process.argv.slice(2);
if (mode === "serve") await serve(args.map(Number));
else console.log(JSON.stringify(await (mode === "rates" ? rates : times)(JSON.parse(args[0]))));

async function serve(ports) {
  await Promise.all(ports.flatMap((port) => [serveTcp(port), serveUdp(port)]));
  console.log("serving");
}

function serveTcp(port) {
  const server = createServer((socket) => socket.on("error", () => {}).resume());
  return new Promise((resolve) => server.listen({ port, host: "0.0.0.0", backlog: 4096 }, resolve));
}

function serveUdp(port) {
  const socket = createSocket("udp4");
  socket.on("message", (message, { address, port }) => socket.send(message, port, address));
  return new Promise((resolve) => socket.bind(port, resolve));
}

async function rates({ places, rounds, measures }) {
  const result = {};
  for (const [name, measure] of Object.entries(measures)) {
    const taken = Object.fromEntries(Object.keys(places).map((place) => [place, []]));
    // The first round is a rehearsal: code is compiled, and the way is known.
    for (let round = 0; round <= rounds; round++) {
      for (const place of turns(Object.keys(places), round)) {
        const rate = await rateOf(measure, places[place]);
        if (round > 0) taken[place].push(rate);
      }
    }
    result[name] = taken;
  }
  return result;
}

/** Nobody is always the first one. */
function turns(names, round) {
  return round % 2 === 0 ? names : names.toReversed();
}

async function rateOf({ transport, concurrency, milliseconds }, place) {
  const act = transport === "tcp" ? connectAndClose : await exchange(place);
  const started = performance.now();
  const ends = started + milliseconds;
  let count = 0;
  const work = async () => {
    for (; performance.now() < ends; count++) await act(place);
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  const seconds = (performance.now() - started) / 1000;
  act.end?.();
  return count / seconds;
}

function connectAndClose({ address, port }) {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: address, port });
    socket.on("connect", () => socket.end()).on("error", reject);
    socket.on("close", resolve).resume();
  });
}

/** One socket for all requests: it is the packets of a flow that are measured here. */
async function exchange({ address, port }) {
  const socket = createSocket("udp4");
  await new Promise((resolve) => socket.connect(port, address, resolve));
  const act = () =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer from ${address}:${port} over UDP`)), 1000);
      socket.once("message", () => {
        clearTimeout(timer);
        resolve();
      });
      socket.send("?");
    });
  act.end = () => socket.close();
  return act;
}

async function times({ places, count }) {
  const taken = Object.fromEntries(Object.keys(places).map((place) => [place, []]));
  const rehearsals = 200;
  for (let round = -rehearsals; round < count; round++) {
    for (const place of turns(Object.keys(places), Math.abs(round))) {
      const time = await timeOf(places[place]);
      if (round >= 0) taken[place].push(time);
    }
  }
  return taken;
}

function timeOf({ address, port }) {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const socket = createConnection({ host: address, port });
    let time;
    socket.on("connect", () => {
      time = performance.now() - started;
      socket.end();
    });
    socket.on("error", reject).on("close", () => resolve(time));
    socket.resume();
  });
}
