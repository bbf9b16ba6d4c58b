import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { compiled, netlinkSources } from "../support/compiled.ts";

/** Entries that connection tracking is to have, as if it had seen their packets. */
export interface Remembered {
  count?: number;
  /** As IP numbers it. */
  protocol: number;
  client?: string;
  /** What was dialed; port 0: for each entry another one, the client's. */
  to: string;
  port?: number;
  /** Who answers, and from which port. */
  from: string;
  fromPort?: number;
  /** Of TCP: its number in the kernel (enum tcp_conntrack); ESTABLISHED. */
  state?: number;
  answered?: boolean;
  zone?: number;
}

export const tcpStates = { SYN_SENT: 1, ESTABLISHED: 3, TIME_WAIT: 7, CLOSE: 8 };
const status = { SEEN_REPLY: 2, ASSURED: 4 };

/** Puts such entries into the kernel's connection tracking of a network namespace, 40,000 in a second. */
export async function remember([file, args]: [string, string[]], flows: Remembered): Promise<void> {
  const { count = 1, protocol, client = "10.1.0.1", to, port = 80, from, fromPort = 8080 } = flows;
  const { state = tcpStates.ESTABLISHED, answered = true, zone = 0 } = flows;
  const bits = answered ? status.SEEN_REPLY | status.ASSURED : 0;
  const words = [count, protocol, client, to, port, from, fromPort, state, bits, zone].map(String);
  const { stdout } = await execa(file, [...args, await rememberProgram(), ...words]);
  if (Number(stdout) !== count) throw new Error(`the kernel took ${stdout} of ${count} flows`);
}

let program: Promise<string> | undefined;

function rememberProgram(): Promise<string> {
  const source = fileURLToPath(new URL("remember.c", import.meta.url));
  return (program ??= compiled("remember", source, join(netlinkSources, "message.c")));
}
