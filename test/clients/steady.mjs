// Opens TCP connections at a steady rate, to several places in turns, and resets each as soon as it is there, until
// SIGTERM. Then it prints as JSON what became of them.
//
//   node steady.mjs JSON
//
// JSON is { every, places: { NAME: { address, port } } }, `every` in milliseconds. It prints
//   connections  how many were tried
//   faults       by "NAME CODE", how many came to nothing
//   unanswered   SYNs that the kernel had to send again
import { readFileSync } from "node:fs";
import { createConnection } from "node:net";

/** A machine that is too slow for the rate is asked less, and does not lose what it is asked. */
const mostAtOnce = 64;

const { every, places } = JSON.parse(process.argv[2]);
const names = Object.keys(places);
const faults = {};
let connections = 0;
let underway = 0;

function connect(name) {
  const { address, port } = places[name];
  const socket = createConnection({ host: address, port });
  underway++;
  connections++;
  socket.on("connect", () => socket.resetAndDestroy());
  socket.on("error", ({ code }) => {
    faults[`${name} ${code}`] = (faults[`${name} ${code}`] ?? 0) + 1;
  });
  socket.on("close", () => underway--);
}

/** TcpExt of /proc/net/netstat: a line of names, and a line of values. */
function sentAgain() {
  const text = readFileSync("/proc/self/net/netstat", "utf8");
  const [words, values] = [...text.matchAll(/^TcpExt: (.*)$/gm)].map(([, line]) => line.split(" "));
  return Number(values[words.indexOf("TCPSynRetrans")]);
}

const before = sentAgain();
const started = performance.now();
let due = 0;
const timer = setInterval(() => {
  for (; due < (performance.now() - started) / every; due++)
    if (underway < mostAtOnce) connect(names[connections % names.length]);
}, every);
console.log("calling");

process.once("SIGTERM", () => {
  clearInterval(timer);
  const report = () => {
    if (underway > 0) return setTimeout(report, 50);
    console.log(JSON.stringify({ connections, faults, unanswered: sentAgain() - before }));
    process.exit(0);
  };
  report();
});
