import { execa } from "execa";
import { type Command, command, type Converse, converse } from "../../agent/netfilter/command.ts";
import { Netlink, type Mode, program } from "../../agent/netfilter/netlink.ts";
import { Tables } from "../../agent/netfilter/tables.ts";
import { netlinkProgram } from "../support/netlink.ts";

/** Network namespaces of one test, all with its id in their name, so that nothing else is ever touched. */
export class Namespaces {
  readonly #id = `mip${process.pid}${Math.floor(Math.random() * 1000)}`;
  readonly #names = new Set<string>();
  #netlink = "";

  /** Adds a namespace; IPv6 addresses are usable in it at once, without duplicate address detection. */
  async add(name: string): Promise<void> {
    this.#netlink = await netlinkProgram();
    await execa("ip", ["netns", "add", this.fullName(name)]);
    this.#names.add(name);
    await this.sysctl(name, {
      "net.ipv6.conf.all.accept_dad": 0,
      "net.ipv6.conf.default.accept_dad": 0,
      // A new namespace takes IPv4's defaults from the machine.
      "net.ipv4.conf.all.rp_filter": 0,
      "net.ipv4.conf.default.rp_filter": 0,
    });
    await this.ip(name, ["link set lo up"]);
  }

  async delete(name: string): Promise<void> {
    if (this.#names.delete(name)) await execa("ip", ["netns", "delete", this.fullName(name)]);
  }

  async deleteAll(): Promise<void> {
    for (const name of this.#names) await this.delete(name);
  }

  /** Runs a program of the machine with the namespace's network. */
  in(name: string, argv: string[], options: { input?: string; reject?: boolean } = {}) {
    return execa("nsenter", [...this.#enter(name), ...argv], { input: "", ...options });
  }

  /** The agent's way to run tools, in this namespace. */
  command(name: string): Command {
    return async (file, args, ...others) => {
      const place = file === program ? await netlinkProgram() : file;
      return await command("nsenter", [...this.#enter(name), place, ...args], ...others);
    };
  }

  /** The agent's way to talk with its netlink program, in this namespace. */
  converse(name: string): Converse {
    return (file, args, ...others) =>
      converse(
        "nsenter",
        [...this.#enter(name), file === program ? this.#netlink : file, ...args],
        ...others,
      );
  }

  /** The agent's view of the nftables of this namespace. */
  tables(name: string): Tables {
    return new Tables((...words) => this.converse(name)(...words));
  }

  /** The agent's netlink program in this namespace. */
  netlink(name: string, mode: Mode): Netlink {
    return new Netlink(mode, { start: this.converse(name) });
  }

  /** The words before a program's own that run it with the namespace's network. */
  entering(name: string): [string, string[]] {
    return ["nsenter", this.#enter(name)];
  }

  /** Several `ip` commands with one process. */
  async ip(name: string, lines: string[]): Promise<void> {
    await this.in(name, ["ip", "-batch", "-"], { input: `${lines.join("\n")}\n` });
  }

  async sysctl(name: string, values: Record<string, number>): Promise<void> {
    await this.in(name, [
      "sysctl",
      "-qw",
      ...Object.entries(values).map(([key, value]) => `${key}=${value}`),
    ]);
  }

  fullName(name: string): string {
    return `${this.#id}-${name}`;
  }

  #enter(name: string): string[] {
    return [`--net=/run/netns/${this.fullName(name)}`];
  }
}
