import { pino } from "pino";
import { expect, it } from "vitest";
import type { Finding } from "../../agent/finding.ts";
import { Examination } from "../../agent/doctor/examination.ts";
import { Status } from "../../agent/status/status.ts";

const finding = (severity: Finding["severity"]): Finding => ({
  code: "X",
  severity,
  message: severity,
  remedy: "",
});

it("a long look makes the next one later, but not where something keeps the addresses from working", async () => {
  let time = 0;
  let looks = 0;
  let findings: Finding[] = [];
  const status = new Status();
  const examination = new Examination({
    examine: async () => {
      looks++;
      time += 4_000;
      return findings;
    },
    status,
    log: pino({ enabled: false }),
    now: () => time,
  });
  const looksAt = async (seconds: number) => {
    time = seconds * 1_000;
    expect(await examination.run()).toBe(true);
    return looks;
  };
  expect(await looksAt(0)).toBe(1);
  expect(await looksAt(60)).toBe(1);
  expect(await looksAt(80)).toBe(2);
  findings = [finding("fail")];
  expect(await looksAt(160)).toBe(3);
  expect(status.report().reasons).toContain("fail");
  expect(examination.isDue).toBe(false);
  time = 200_000;
  expect(examination.isDue).toBe(true);
  findings = [];
  expect(await looksAt(165)).toBe(4);
  expect(examination.isDue).toBe(false);
  expect(status.report().reasons).not.toContain("fail");
});
