import type { Logger } from "pino";
import type { Finding } from "../finding.ts";
import type { Status } from "../status/status.ts";

/** What an examination works with, and what it reports to. */
export interface ExaminationParts {
  examine(): Promise<Finding[]>;
  status: Status;
  log: Logger;
  /** Milliseconds; tests bring their own. */
  now?: () => number;
}

/** A look takes at most a twentieth of the time, because other programs' rules decide how long it takes. */
const share = 20;

/** The same while the node is unfit: a node that starts is unfit until its network is there, and pods wait for it. */
const unfitShare = 10;

/** Looks for what on the node would make traffic fail although the rules are right, at the start and repeatedly. */
export class Examination {
  #told = new Set<string>();
  /** No look begins before this time. */
  #rest = 0;
  /** When to look again at an unfit node; undefined: it was fit. */
  #again: number | undefined;

  constructor(readonly parts: ExaminationParts) {}

  /** Whether the node was unfit, and another look is due. */
  get isDue(): boolean {
    const { now = () => performance.now() } = this.parts;
    return this.#again !== undefined && now() >= this.#again;
  }

  /** Returns whether the node could be looked at. An unfit node is looked at each time, without a rest. */
  async run(): Promise<boolean> {
    const { examine, status, log, now = () => performance.now() } = this.parts;
    const started = now();
    if (started < this.#rest) return true;
    try {
      const findings = await examine();
      const isFit = findings.every(({ severity }) => severity !== "fail");
      const took = now() - started;
      this.#rest = isFit ? started + share * took : 0;
      this.#again = isFit ? undefined : started + unfitShare * took;
      const of = (severity: Finding["severity"]) =>
        findings.filter((finding) => finding.severity === severity).map(sentence);
      status.found(findings);
      status.blocked(of("fail"));
      const doubtful = of("warn");
      status.trouble("preflight", doubtful.length === 0 ? undefined : doubtful.join("; "));
      this.#tell(findings);
      return true;
    } catch (error) {
      log.debug({ err: error }, "the node could not be examined");
      return false;
    }
  }

  /** Each finding is logged when it comes and when it goes. */
  #tell(findings: Finding[]): void {
    const { log } = this.parts;
    const levels = { fail: "error", warn: "warn", info: "info" } as const;
    const news = findings.filter((finding) => !this.#told.has(sentence(finding)));
    for (const finding of news) log[levels[finding.severity]]({ code: finding.code }, sentence(finding));
    const current = new Set(findings.map(sentence));
    for (const gone of this.#told.difference(current)) log.info(`no longer: ${gone}`);
    this.#told = current;
  }
}

function sentence({ message, remedy }: Finding): string {
  return remedy ? `${message}; ${remedy}` : message;
}
