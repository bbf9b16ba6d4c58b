import { createSocket } from "node:dgram";
import { connect, isIP, isIPv6 } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Config, Port } from "../config/config.ts";

/** An IP and a port that a client would dial. */
export interface Callee {
  ip: string;
  port: number;
  protocol: "tcp" | "udp";
}

/** The result of a call; the text is for a person. */
export interface Answer {
  answered: boolean;
  text: string;
}

/** Milliseconds between two datagrams of a call; spaced, because the kernel limits the rate of its refusals. */
const datagramInterval = 250;

/** Milliseconds before a call without an answer is repeated. */
const pause = 1_000;

/** The text does not name a place that can be called. */
export class CalleeError extends Error {
  override name = "CalleeError";
}

/**
 * Reads IP:port or IP:port/protocol, as log lines and the chart's notes write it, such as `[fd00:210::210]:8125/UDP`.
 * @throws {CalleeError}
 */
export function parseCallee(text: string, protocol: Callee["protocol"] = "tcp"): Callee {
  const [, bracketed, plain, port = "", , written] =
    /^(?:\[([^\]]+)\]|([^:/]+)):(\d{1,5})(\/(tcp|udp))?$/i.exec(text) ?? [];
  const ip = bracketed ?? plain ?? "";
  const isSpelt = isIP(ip) === (bracketed === undefined ? 4 : 6);
  if (!isSpelt || Number(port) < 1 || Number(port) > 65535)
    throw new CalleeError(
      `"${text}" cannot be called: write IP:port, as 169.254.210.210:8126, 169.254.210.210:8125/udp or [fd00:210::210]:8126`,
    );
  return { ip, port: Number(port), protocol: (written?.toLowerCase() as Callee["protocol"]) ?? protocol };
}

/**
 * The places of a configuration that can be called: its single ports of TCP and UDP. A whole IP or a range does not say
 * on which port a target listens, and Node.js has no SCTP.
 */
export function calleesOf({ addresses }: Pick<Config, "addresses">): Callee[] {
  return addresses.flatMap(({ ipAddresses, ports }) =>
    ipAddresses.flatMap((ip) => ports.flatMap((port) => calleeOf(ip, port))),
  );
}

function calleeOf(ip: string, { port, endPort, protocol }: Port): Callee[] {
  return protocol === "sctp" || endPort > port ? [] : [{ ip, port, protocol }];
}

/**
 * Calls once. TCP answers when it connects. Most datagrams are never answered, so UDP counts as answered if no datagram
 * is refused within the timeout; a lost datagram is not refused either.
 */
export function call(callee: Callee, timeout: number): Promise<Answer> {
  return callee.protocol === "tcp" ? callTcp(callee, timeout) : callUdp(callee, timeout);
}

/** Repeats the call until it is answered or `patience` milliseconds have passed; returns the last answer. */
export async function callPatiently(callee: Callee, timeout: number, patience: number): Promise<Answer> {
  const end = performance.now() + patience;
  for (;;) {
    const answer = await call(callee, timeout);
    if (answer.answered || performance.now() + pause > end) return answer;
    await delay(pause);
  }
}

function callTcp({ ip, port }: Callee, timeout: number): Promise<Answer> {
  const place = `${placeOf(ip, port)}/tcp`;
  return new Promise((resolve) => {
    const started = performance.now();
    const socket = connect({ host: ip, port });
    const finish = (answered: boolean, text: string) => {
      socket.destroy();
      resolve({ answered, text: `${place} ${text}` });
    };
    socket.once("connect", () =>
      finish(true, `answers: connected within ${Math.ceil(performance.now() - started)} ms`),
    );
    socket.once("error", (error: NodeJS.ErrnoException) => finish(false, failure(error)));
    socket.setTimeout(timeout, () => finish(false, silence(timeout)));
  });
}

function callUdp({ ip, port }: Callee, timeout: number): Promise<Answer> {
  const place = `${placeOf(ip, port)}/udp`;
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(ip) ? "udp6" : "udp4");
    let sending: NodeJS.Timeout | undefined;
    const finish = (answered: boolean, text: string) => {
      clearInterval(sending);
      clearTimeout(ending);
      socket.close();
      resolve({ answered, text: `${place} ${text}` });
    };
    const ending = setTimeout(() => finish(true, `refuses no datagram within ${timeout} ms`), timeout);
    socket.once("error", (error: NodeJS.ErrnoException) => finish(false, failure(error)));
    socket.once("message", () => finish(true, "answers: a datagram came back"));
    // Connected, so that the kernel reports a refusal. Empty datagrams, because no telemetry format has them.
    socket.connect(port, ip, (error?: Error) => {
      if (error !== undefined) return finish(false, failure(error));
      const send = () => socket.send("", () => {});
      send();
      sending = setInterval(send, Math.min(datagramInterval, timeout / 4));
    });
  });
}

/** The error that a client sees, and its usual cause at a magic IP. */
function failure({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case "ECONNREFUSED":
      return "is refused: this node has no ready target, or the target does not listen there (ECONNREFUSED)";
    case "ENETUNREACH":
    case "EHOSTUNREACH":
      return `cannot be reached: there is no route to it from here (${code})`;
    case "ETIMEDOUT":
      return "gives no answer: the connection timed out (ETIMEDOUT)";
    default:
      return `fails: ${message}`;
  }
}

function silence(timeout: number): string {
  return `gives no answer within ${timeout} ms: no agent on this node, a network policy, or a target that drops`;
}

function placeOf(ip: string, port: number): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}
