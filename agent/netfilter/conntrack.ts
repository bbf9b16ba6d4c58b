import type { Ended, FlowKind, Flows } from "../kernel.ts";
import { Netlink } from "./netlink.ts";

/**
 * Milliseconds after a stop until the program is killed if its pass has not ended; then it deletes no more entries. It
 * reads its input between two parts of a dump; the kernel walks 225,000 entries in 60 ms to fill one part.
 */
const patience = 500;

/**
 * Milliseconds without a line after which the program is killed and the pass repeated. The program prints a line each
 * 65,536 entries, which take 0.2 s.
 */
const silence = 3_000;

/** The flows in the node's connection tracking. Our netlink program reads and deletes them. */
export class Conntrack implements Flows {
  #overdue: NodeJS.Timeout | undefined;
  #wasEnded = false;
  #isUnderWay = false;

  constructor(readonly netlink: Netlink = new Netlink("flows", { patience: silence })) {}

  /** @throws {NetlinkError} */
  async pass(kind: FlowKind, table: string[]): Promise<Ended> {
    this.#wasEnded = false;
    this.#isUnderWay = true;
    try {
      return (await this.netlink.request(["pass", kind], table)) as unknown as Ended;
    } catch (error) {
      if (this.#wasEnded) return { ended: {}, milliseconds: patience, stopped: true };
      throw error;
    } finally {
      this.#isUnderWay = false;
      clearTimeout(this.#overdue);
    }
  }

  stop(): void {
    if (!this.#isUnderWay) return;
    this.netlink.interject("stop");
    clearTimeout(this.#overdue);
    this.#overdue = setTimeout(() => {
      this.#wasEnded = true;
      this.netlink.end();
    }, patience);
  }

  /** Ends the program; a later pass starts it anew. */
  end(): void {
    clearTimeout(this.#overdue);
    this.netlink.end();
  }
}
