import { bindingName } from "../desired/state.ts";
import type { BindingCount } from "../kernel.ts";
import type { Report } from "./status.ts";

/** One metric with its samples. */
interface Metric {
  name: string;
  type: "gauge" | "counter" | "summary";
  help: string;
  samples: [labels: Record<string, string>, value: number, suffix?: string][];
}

/**
 * The report and the kernel's counters in Prometheus' text format, version 0.0.4. No client library: it would cost more
 * memory than the rest of the agent's state, and the format is one line for each sample.
 */
export function metricsText(report: Report, counts: BindingCount[], version = "unknown"): string {
  return [...alarms(report, version), ...metrics(report, counts)].map(metricText).join("");
}

/** Metrics for alarms, besides readiness. */
function alarms(report: Report, version: string): Metric[] {
  const { backend, silence, failures, troubles, findings } = report;
  const kinds = Map.groupBy(findings, ({ code, severity }) => `${severity} ${code}`).values();
  return [
    gauge("magic_ip_build_info", "Always 1; the agent's version, and what holds the rules.", [
      [{ version, backend }, 1],
    ]),
    gauge(
      "magic_ip_api_last_heard_seconds",
      "Time since the API server was last heard, of the pods that it was longest silent about.",
      silence === undefined ? [] : [[{}, silence]],
    ),
    gauge(
      "magic_ip_troubles",
      "Parts that are in trouble although the rules hold.",
      Object.entries(troubles).map(([part, count]) => [{ part }, count]),
    ),
    gauge(
      "magic_ip_findings",
      "What on the node makes traffic fail (fail), or may (warn), or is unusual (info).",
      [...kinds].map(([first, ...others]) => [
        { code: first?.code ?? "", severity: first?.severity ?? "" },
        1 + others.length,
      ]),
    ),
    {
      ...gauge(
        "magic_ip_sync_failures_total",
        "Times that the rules could not be written, or not be looked at.",
        [[{}, failures]],
      ),
      type: "counter",
    },
  ];
}

function metrics(report: Report, counts: BindingCount[]): Metric[] {
  const { bindings, problems } = report;
  const counter = (name: string, help: string, value: (count: BindingCount) => number): Metric => ({
    ...{ name, type: "counter", help },
    samples: counts.map((count) => [{ binding: count.binding }, value(count)]),
  });
  return [
    gauge("magic_ip_ready", "Whether the node's magic IPs can be relied on.", [[{}, report.ready ? 1 : 0]]),
    gauge(
      "magic_ip_binding_targets",
      "Pods of this node that new flows go to.",
      bindings.map((binding) => [{ binding: bindingName(binding) }, binding.targets.length]),
    ),
    gauge(
      "magic_ip_problems",
      "Reasons why bindings are missing or doubtful.",
      [...Map.groupBy(problems, ({ code }) => code)].map(([code, own]) => [{ code }, own.length]),
    ),
    {
      ...gauge("magic_ip_repairs_total", "Foreign changes to the rules that were undone.", [
        [{}, report.repairs],
      ]),
      type: "counter",
    },
    {
      ...gauge("magic_ip_uplink_changes_total", "Changes of the interfaces that lead outside the node.", [
        [{}, report.uplinkChanges],
      ]),
      type: "counter",
    },
    {
      ...gauge("magic_ip_sync_seconds", "Times from known pods to rules in the kernel.", [
        [{}, report.writes.seconds, "_sum"],
        [{}, report.writes.count, "_count"],
      ]),
      type: "summary",
    },
    counter(
      "magic_ip_packets_total",
      "Packets that clients sent to a binding.",
      ({ traffic }) => traffic.packets,
    ),
    counter("magic_ip_bytes_total", "Bytes that clients sent to a binding.", ({ traffic }) => traffic.bytes),
    counter(
      "magic_ip_unserved_packets_total",
      "Packets that found no target.",
      ({ rejected }) => rejected.packets,
    ),
    counter(
      "magic_ip_outside_packets_total",
      "Packets from outside the node, dropped.",
      ({ outside }) => outside.packets,
    ),
  ];
}

function gauge(name: string, help: string, samples: Metric["samples"]): Metric {
  return { name, type: "gauge", help, samples };
}

function metricText({ name, type, help, samples }: Metric): string {
  const lines = samples.map(
    ([labels, value, suffix = ""]) => `${name}${suffix}${labelText(labels)} ${value}\n`,
  );
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

/** Labels with the escapes of the text format: a backslash, a quote or a newline would end the value or the sample. */
function labelText(labels: Record<string, string>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
