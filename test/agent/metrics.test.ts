import { pino } from "pino";
import { describe, expect, it } from "vitest";
import type { Finding } from "../../agent/finding.ts";
import { Examination } from "../../agent/doctor/examination.ts";
import { metricsText } from "../../agent/status/metrics.ts";
import { Status } from "../../agent/status/status.ts";

/** The samples of a metric. */
function samples(status: Status, name: string, version?: string): string[] {
  const lines = metricsText(status.report(), [], version).split("\n");
  return lines.filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
}

describe("the metrics tell", () => {
  it("how long the API server was silent about the pods that it was longest silent about (C14)", () => {
    const status = new Status();
    expect(samples(status, "magic_ip_api_last_heard_seconds")).toEqual([]);
    const now = performance.now();
    status.hears(
      () =>
        new Map([
          ["a", now - 1_000],
          ["b", now - 7_200_000],
        ]),
    );
    const [, seconds] = samples(status, "magic_ip_api_last_heard_seconds")[0]?.split(" ") ?? [];
    expect(Math.floor(Number(seconds))).toBe(7_200);
  });

  it("how many parts are in trouble, those of the API together, while the agent is ready", () => {
    const status = new Status();
    status.trouble("pods of a", "403", "api");
    status.trouble("pods of b", "403", "api");
    status.trouble("conntrack", "is missing");
    expect(samples(status, "magic_ip_troubles")).toEqual([
      'magic_ip_troubles{part="api"} 2',
      'magic_ip_troubles{part="conntrack"} 1',
    ]);
    status.trouble("pods of a", undefined, "api");
    expect(samples(status, "magic_ip_troubles")[0]).toBe('magic_ip_troubles{part="api"} 1');
  });

  it("how often a sync failed, and not how often that is said", () => {
    const status = new Status();
    status.failed("nft is missing");
    status.failed("nft is missing");
    status.fails("nft is missing");
    expect(samples(status, "magic_ip_sync_failures_total")).toEqual(["magic_ip_sync_failures_total 2"]);
  });

  it("what a look at the node found", async () => {
    const status = new Status();
    const finding = (code: string, severity: Finding["severity"]) => ({
      code,
      severity,
      message: code,
      remedy: "",
    });
    const found = [finding("NOTRACK", "fail"), finding("NOTRACK", "warn"), finding("NOTRACK", "warn")];
    const log = pino({ level: "silent" });
    await new Examination({ examine: () => Promise.resolve(found), status, log }).run();
    expect(samples(status, "magic_ip_findings")).toEqual([
      'magic_ip_findings{code="NOTRACK",severity="fail"} 1',
      'magic_ip_findings{code="NOTRACK",severity="warn"} 2',
    ]);
  });

  it("which agent it is, and break no line by it", () => {
    expect(samples(new Status("iptables-nft"), "magic_ip_build_info", '1"\\\n2')).toEqual([
      'magic_ip_build_info{version="1\\"\\\\\\n2",backend="iptables-nft"} 1',
    ]);
  });
});
