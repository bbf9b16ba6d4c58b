import { type Flow, type FlowQuery, parseFlows } from "../flows.ts";
import { familyOf } from "../desired.ts";
import { type Command, CommandError, command } from "./command.ts";

/** The flows that the node's connection tracking knows. */
export class Conntrack {
  constructor(readonly run: Command = command) {}

  /** The flows to these magic IPs, but for connections that are over unless they are asked for. @throws {CommandError} */
  async flows({ family, protocol, ipAddresses }: FlowQuery, { over } = { over: false }): Promise<Flow[]> {
    const [only, ...others] = ipAddresses;
    const narrowed = only !== undefined && others.length === 0 ? ["--orig-dst", only] : [];
    const args = ["-L", "-f", family, "-p", protocol, ...narrowed];
    const listing = await this.run("conntrack", args, undefined, (line) => over || !isOver(line));
    const wanted = new Set(ipAddresses);
    return parseFlows(listing).filter(({ ipAddress }) => wanted.has(ipAddress));
  }

  /** Ends every flow of this kind. @throws {CommandError} */
  async end({ protocol, state, ipAddress, port, replyIp, replyPort }: Flow): Promise<void> {
    const ports =
      port === undefined ? [] : ["--orig-port-dst", String(port), "--reply-port-src", String(replyPort)];
    // Without the state, one that is over could be deleted under a new connection from its port.
    const narrowed = state === undefined ? [] : ["--state", state];
    await this.#delete(ipAddress, ["-p", protocol, "--reply-src", replyIp, ...ports, ...narrowed]);
  }

  /** Ends every flow to the magic IP. @throws {CommandError} */
  async endAll(ipAddress: string): Promise<void> {
    await this.#delete(ipAddress, []);
  }

  /** conntrack exits with 1 when nothing matched, which is success: what should be gone is gone. */
  async #delete(ipAddress: string, filter: string[]): Promise<void> {
    try {
      await this.run("conntrack", ["-D", "-f", familyOf(ipAddress), "--orig-dst", ipAddress, ...filter]);
    } catch (error) {
      if (error instanceof CommandError && error.stderr.includes("0 flow entries have been deleted")) return;
      throw error;
    }
  }
}

/**
 * A busy node remembers tens of thousands of connections that are over, and a new one from the same port takes their place.
 * In every other state the kernel ignores a new connection's first packet, which so goes where the old one went (the
 * table tcp_conntracks of nf_conntrack_proto_tcp.c).
 */
function isOver(line: string): boolean {
  return / (?:TIME_WAIT|CLOSE) src=/.test(line);
}
