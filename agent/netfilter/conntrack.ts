import { type Flow, parseFlows } from "../flows.ts";
import { CommandError, command } from "./command.ts";

/**
 * The flows to these magic IPs that can still carry something: UDP, and established TCP. A busy node remembers tens of
 * thousands of TCP connections that are over.
 * @throws {CommandError}
 */
export async function listFlows(ipAddresses: string[]): Promise<Flow[]> {
  const [only, ...others] = ipAddresses;
  const narrowed = only !== undefined && others.length === 0 ? ["--orig-dst", only] : [];
  const list = (...filter: string[]) => command("conntrack", ["-L", "-f", "ipv4", ...narrowed, ...filter]);
  const listings = [await list("-p", "udp"), await list("-p", "tcp", "--state", "ESTABLISHED")];
  const wanted = new Set(ipAddresses);
  return listings.flatMap(parseFlows).filter(({ ipAddress }) => wanted.has(ipAddress));
}

/** Ends every flow of this kind. @throws {CommandError} */
export async function deleteFlows({ protocol, ipAddress, port, replyIp, replyPort }: Flow): Promise<void> {
  const original = ["--orig-dst", ipAddress, "--orig-port-dst", String(port)];
  const reply = ["--reply-src", replyIp, "--reply-port-src", String(replyPort)];
  await deleting(["-D", "-f", "ipv4", "-p", protocol, ...original, ...reply]);
}

/** Ends every flow to the magic IP. @throws {CommandError} */
export async function deleteFlowsTo(ipAddress: string): Promise<void> {
  await deleting(["-D", "-f", "ipv4", "--orig-dst", ipAddress]);
}

/** conntrack exits with 1 when nothing matched, which is success: what should be gone is gone. */
async function deleting(args: string[]): Promise<void> {
  try {
    await command("conntrack", args);
  } catch (error) {
    if (error instanceof CommandError && error.stderr.includes("0 flow entries have been deleted")) return;
    throw error;
  }
}
