import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { parseConfig } from "../../agent/config/config.ts";
import { desired } from "../../agent/desired/desired.ts";
import type { DesiredState } from "../../agent/desired/state.ts";
import { difference, ruleset, tableName } from "../../agent/ruleset/nftables/table.ts";
import { address, pod } from "../agent/state.ts";
import { TestNode } from "../kernel/node.ts";
import { compiled } from "../support/compiled.ts";
import { step } from "../support/progress.ts";
import { atMost, type Figure } from "./figure.ts";

const program = fileURLToPath(new URL("../clients/steady.mjs", import.meta.url));
const synSource = fileURLToPath(new URL("../clients/syn.c", import.meta.url));

const rangePort = 8005;
const wholePort = 9005;
const ips = { alone: "169.254.210.210", spread: "169.254.210.211", beside: "169.254.210.212" };

/** The last one is a range on a whole IP, whose pod listens on no port of the range. */
const places = {
  range: { address: ips.alone, port: rangePort },
  "spread range": { address: ips.spread, port: rangePort },
  "whole IP": { address: ips.beside, port: wholePort },
  "range of a whole IP": { address: ips.beside, port: rangePort },
};
/** Milliseconds from one connection to the next. */
const every = 1.5;

/** What became of the connections meanwhile, as test/clients/steady.mjs says it. */
export interface Outcome {
  connections: number;
  seconds: number;
  /** Those that were refused, by place: no rule had a target for them, or one of another binding. */
  faults: Record<string, number>;
  unanswered: number;
}

/** What became of connections of which no more than the first packet was sent. */
export interface Flood {
  sent: number;
  accepted: number;
  refused: number;
}

/** What clients notice of replacements of the table and of changed targets. */
export async function replace(times: number): Promise<Figure[]> {
  const lab = await Lab.create();
  try {
    const replaced = await step(`replace the table ${times} times`, () => lab.replace(times));
    const changed = await step(`change targets ${times} times`, () => lab.changeTargets(times));
    // The last one: it leaves connections of all of the client's ports behind.
    const flood = await step(`replace the table ${times} times under a flood of SYNs`, () =>
      lab.flood(times),
    );
    return [
      figure("table replaced", replaced, `${times} replacements`),
      figure("targets changed", changed, `${times} changes of the targets of three ranges`),
      floodFigure(flood, times),
    ];
  } finally {
    await lab.remove();
  }
}

/** A node with a client, two pods that serve ranges, and one that serves a whole IP. */
export class Lab {
  private constructor(
    readonly node: TestNode,
    readonly podIps: Record<string, string[]>,
  ) {}

  static async create(): Promise<Lab> {
    const node = await TestNode.create();
    const podIps: Record<string, string[]> = {};
    for (const name of ["client", "one", "other", "whole"]) podIps[name] = await node.addPod(name, "routed");
    await Promise.all(["one", "other"].map((name) => node.serve(name, [rangePort])));
    await node.serve("whole", [wholePort]);
    return new Lab(node, podIps);
  }

  remove(): Promise<void> {
    return this.node.remove();
  }

  /** The whole table, again and again, as every start of an agent and every new configuration brings it. */
  replace(times: number): Promise<Outcome> {
    const state = this.#state(false);
    return this.#underLoad(state, async () => {
      for (let count = 0; count < times; count++) await this.node.load(`${slow}${ruleset(state)}`);
    });
  }

  /**
   * The same with all the SYNs that the machine can send, some 30,000 a second: a packet is in the middle of the chains
   * when the kernel switches from one table to the other.
   */
  async flood(times: number): Promise<Flood> {
    const text = ruleset(this.#state(false));
    await this.node.load(text);
    const [file, args] = this.node.entering("client");
    const words = [this.podIps.client?.[0] ?? "", ips.alone, String(rangePort)];
    const calling = execa(file, [...args, await compiled("syn", synSource), ...words], { reject: false });
    await once(calling.stdout, "data");
    for (let count = 0; count < times; count++) await this.node.load(text);
    calling.kill("SIGTERM");
    const { stdout } = await calling;
    return JSON.parse(stdout.split("\n").at(-1) ?? "") as Flood;
  }

  /** A target is deleted and another added in one transaction, as when a newer pod becomes ready. */
  changeTargets(times: number): Promise<Outcome> {
    const [one, other] = [this.#state(false), this.#state(true)];
    return this.#underLoad(one, async () => {
      for (let count = 0; count < times; count++)
        await this.node.load(count % 2 === 0 ? changeText(one, other) : changeText(other, one));
    });
  }

  async #underLoad(state: DesiredState, during: () => Promise<void>): Promise<Outcome> {
    await this.node.load(ruleset(state));
    const [file, args] = this.node.entering("client");
    const calling = execa(file, [...args, process.execPath, program, JSON.stringify({ every, places })], {
      reject: false,
    });
    await once(calling.stdout, "data");
    const started = performance.now();
    await during();
    const seconds = (performance.now() - started) / 1000;
    calling.kill("SIGTERM");
    const { stdout } = await calling;
    return { seconds, ...(JSON.parse(stdout.split("\n").at(-1) ?? "") as Omit<Outcome, "seconds">) };
  }

  /** The ranges lead to `one`, or to `other` when it is ready; both may keep what they have. */
  #state(ready: boolean): DesiredState {
    const labels = { app: "whole" };
    const pods = [
      pod("one", { ips: this.podIps.one }),
      pod("other", { ips: this.podIps.other, created: "2026-11-02T00:00:00Z", ready }),
      pod("whole", { ips: this.podIps.whole, labels }),
    ];
    return desired(configuration, this.node.facts, pods);
  }
}

const ports = [{ port: 8000, endPort: 8010 }];
/** The more a transaction has, the longer the kernel is at it, and what it does not do at once takes longer to be seen. */
const slow = `table inet slow\ndelete table inet slow\ntable inet slow {\n\tchain rules {\n${"\t\tcounter\n".repeat(3_000)}\t}\n}\n`;

const configuration = parseConfig(
  JSON.stringify({
    instance: "replace",
    addresses: [
      address({ ipAddress: ips.alone, ports }),
      address({ ipAddress: ips.spread, ports, loadBalance: true }),
      address({ ipAddress: ips.beside, ports }),
      address({ ipAddress: ips.beside, selector: "app=whole", ports: undefined }),
    ],
  }),
);

function figure(name: string, outcome: Outcome, from: string): Figure {
  const { connections, seconds, faults, unanswered } = outcome;
  const refused = Object.values(faults).reduce((sum, count) => sum + count, 0);
  const rate = `${connections} connections, ${Math.round(connections / seconds)} a second`;
  const told = Object.entries(faults).map(([fault, count]) => `${count} ${fault}`);
  const all = [from, rate, ...told, `${unanswered} SYNs sent again`].join("; ");
  return atMost(`${name}: connections refused or without an answer`, refused + unanswered, "", 0, all);
}

function floodFigure({ sent, accepted, refused }: Flood, times: number): Figure {
  const all = `${times} replacements; ${sent} SYNs, ${accepted} accepted`;
  return atMost("table replaced: SYNs of a flood refused", refused, "", 0, all);
}

/** One transaction in nft's words. */
function changeText(before: DesiredState, after: DesiredState): string {
  const line = (verb: string, set: string, elements: string[]) =>
    elements.length === 0
      ? ""
      : `${verb} element inet ${tableName(after.instance)} ${set} { ${elements.join(", ")} }\n`;
  const changes = difference(before, after) ?? [];
  return [
    ...changes.map(({ set, removed }) => line("delete", set, removed)),
    ...changes.map(({ set, added }) => line("add", set, added)),
  ].join("");
}
