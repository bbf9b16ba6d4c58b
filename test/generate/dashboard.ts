/** One figure over time. */
interface Panel {
  title: string;
  description: string;
  unit: string;
  queries: [expression: string, legend: string][];
}

const at = '{job=~"$job",node=~"$node"}';
const rate = (metric: string) => `rate(${metric}${at}[$__rate_interval])`;

/** What somebody on call asks first stands first. */
const panels: Panel[] = [
  {
    title: "Agents that are ready",
    description:
      "A node whose agent is not ready may not serve its magic IPs; /readyz and the agent's log say why.",
    unit: "short",
    queries: [
      [`sum(magic_ip_ready${at})`, "ready"],
      [`count(magic_ip_ready${at}) - sum(magic_ip_ready${at})`, "not ready"],
    ],
  },
  {
    title: "Problems",
    description:
      "NO_TARGET: nodes without a target for an address. CONFLICT: another installation has the address. UNKNOWN_PODS: its pods cannot be listed.",
    unit: "short",
    queries: [[`sum by (code) (magic_ip_problems${at})`, "{{code}}"]],
  },
  {
    title: "Silence of the API server",
    description:
      "How long nothing was heard of a node's pods: the rules hold, and follow no pod any more. A quiet cluster is heard every minute.",
    unit: "s",
    queries: [[`max by (node) (magic_ip_api_last_heard_seconds${at})`, "{{node}}"]],
  },
  {
    title: "Troubles",
    description: "Parts of agents that are ready all the same: api, conntrack, health, metrics, preflight.",
    unit: "short",
    queries: [[`sum by (part) (magic_ip_troubles${at})`, "{{part}}"]],
  },
  {
    title: "Sync failures",
    description:
      "Times that the rules could not be written, or not be looked at; the agent's log names the tool.",
    unit: "short",
    queries: [[`sum by (node) (increase(magic_ip_sync_failures_total${at}[$__rate_interval]))`, "{{node}}"]],
  },
  {
    title: "Findings",
    description: "What on the nodes makes traffic fail, or may; `doctor` on the node names the remedies.",
    unit: "short",
    queries: [[`sum by (severity, code) (magic_ip_findings${at})`, "{{severity}} {{code}}"]],
  },
  {
    title: "Nodes without a target",
    description: "Where clients of a binding are refused, if whenNoTarget does not say otherwise.",
    unit: "short",
    queries: [[`count by (binding) (magic_ip_binding_targets${at} == 0)`, "{{binding}}"]],
  },
  {
    title: "Packets that found no target",
    description: "Each is a client that was refused.",
    unit: "pps",
    queries: [[`sum by (binding) (${rate("magic_ip_unserved_packets_total")})`, "{{binding}}"]],
  },
  {
    title: "Packets from clients",
    description: "What pods, and the nodes' own processes, sent to each binding.",
    unit: "pps",
    queries: [[`sum by (binding) (${rate("magic_ip_packets_total")})`, "{{binding}}"]],
  },
  {
    title: "Bytes from clients",
    description: "What pods, and the nodes' own processes, sent to each binding.",
    unit: "Bps",
    queries: [[`sum by (binding) (${rate("magic_ip_bytes_total")})`, "{{binding}}"]],
  },
  {
    title: "Packets from outside the node",
    description: "Dropped: somebody who is not on the node sends to a magic IP.",
    unit: "pps",
    queries: [[`sum by (binding) (${rate("magic_ip_outside_packets_total")})`, "{{binding}}"]],
  },
  {
    title: "Repairs",
    description: "Foreign changes to the rules that were undone; look for `nft flush ruleset` on the node.",
    unit: "short",
    queries: [[`sum by (node) (increase(magic_ip_repairs_total${at}[$__rate_interval]))`, "{{node}}"]],
  },
  {
    title: "Changes of who is outside",
    description: "Changes of the interfaces that lead outside the node; the agent's log names each.",
    unit: "short",
    queries: [[`sum by (node) (increase(magic_ip_uplink_changes_total${at}[$__rate_interval]))`, "{{node}}"]],
  },
  {
    title: "Sync time",
    description: "Mean time from known pods to rules in the kernel.",
    unit: "s",
    queries: [
      [
        `sum by (node) (${rate("magic_ip_sync_seconds_sum")}) / sum by (node) (${rate("magic_ip_sync_seconds_count")})`,
        "{{node}}",
      ],
    ],
  },
  {
    title: "Syncs",
    description: "How often the rules were written: mostly, how often targets change.",
    unit: "ops",
    queries: [[`sum by (node) (${rate("magic_ip_sync_seconds_count")})`, "{{node}}"]],
  },
  {
    title: "Agents",
    description: "By version and by what holds the rules.",
    unit: "short",
    queries: [[`count by (version, backend) (magic_ip_build_info${at})`, "{{version}} {{backend}}"]],
  },
];

const datasource = { type: "prometheus", uid: "${datasource}" };

/** The dashboard that the chart's ConfigMap hands to Grafana. */
export function dashboard(): string {
  return `${JSON.stringify(
    {
      ...{ title: "Magic IP addresses", uid: "magic-ip-address", tags: ["kubernetes", "network"] },
      ...{ schemaVersion: 39, version: 1, editable: true, refresh: "1m", timezone: "browser" },
      time: { from: "now-3h", to: "now" },
      templating: {
        list: [
          { name: "datasource", label: "Data source", type: "datasource", query: "prometheus" },
          variable("job", "Job", "label_values(magic_ip_ready, job)"),
          variable("node", "Node", 'label_values(magic_ip_ready{job=~"$job"}, node)'),
        ],
      },
      panels: panels.map(timeSeries),
    },
    null,
    1,
  )}\n`;
}

function variable(name: string, label: string, query: string): object {
  return {
    ...{ name, label, type: "query", datasource, query: { query, refId: name }, definition: query },
    ...{ refresh: 2, sort: 1, multi: true, includeAll: true, current: { text: "All", value: "$__all" } },
  };
}

/** Two in a row of 24 columns. */
function timeSeries({ title, description, unit, queries }: Panel, index: number): object {
  return {
    ...{ id: index + 1, type: "timeseries", title, description, datasource },
    gridPos: { w: 12, h: 8, x: (index % 2) * 12, y: Math.floor(index / 2) * 8 },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    options: { tooltip: { mode: "multi", sort: "desc" } },
    targets: queries.map(([expr, legendFormat], query) => ({
      ...{ refId: String.fromCharCode(65 + query), datasource, expr, legendFormat },
    })),
  };
}
