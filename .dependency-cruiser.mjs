// The house, from the roof down: each room imports only rooms below it, types included. `npm run check` holds it, and
// `npm run generate` draws it (agent/house.svg).
export const rooms = [
  { name: "main", path: "^agent/main\\.ts$", what: "starts the command line" },
  {
    name: "commands",
    path: "^agent/commands/",
    what: "run, once, plan, doctor, call, cleanup",
  },
  { name: "agent", path: "^agent/(agent|loop)\\.ts$", what: "wires the rooms for run" },
  { name: "doctor", path: "^agent/doctor/", what: "what on the node would make traffic fail" },
  { name: "sync", path: "^agent/sync/", what: "one pass from pods to kernel, and the end of all of it" },
  { name: "status", path: "^agent/status/", what: "log lines, readiness, metrics" },
  { name: "netfilter", path: "^agent/netfilter/", what: "calls nft, iptables and magic-ip-netlink" },
  { name: "ruleset", path: "^agent/ruleset/", what: "desired state → text of rules; pure" },
  { name: "kernel", path: "^agent/kernel\\.ts$", what: "the interfaces of a data path: rules and flows" },
  { name: "desired", path: "^agent/desired/", what: "configuration + pods + node → bindings; pure" },
  { name: "kubernetes", path: "^agent/kubernetes/", what: "lists and watches the API server" },
  { name: "config", path: "^agent/config/", what: "reads and judges the configuration" },
  {
    name: "leaves",
    path: "^agent/(finding|schedule|log|version)\\.ts$",
    what: "finding, schedule, log, version",
  },
  {
    name: "address",
    path: "^component/address/",
    what: "IPs, blocks, ports, selectors: shared with the component",
  },
];

const climbs = rooms.slice(1).map(({ name, path }, index) => ({
  name: `${name}-imports-from-above`,
  comment: `agent/${name} may import only rooms below it; above it are ${rooms
    .slice(0, index + 1)
    .map((room) => room.name)
    .join(", ")}`,
  severity: "error",
  from: { path },
  to: { path: rooms.slice(0, index + 1).map((room) => room.path) },
}));

export default {
  forbidden: [
    ...climbs,
    {
      name: "circle",
      comment: "what imports each other in a circle cannot be read, tested or moved alone",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "address-is-a-leaf",
      comment: "component and agent share component/address, and neither shares more",
      severity: "error",
      from: { path: "^component/address/" },
      to: { pathNot: "^component/address/" },
    },
    {
      name: "component-and-agent",
      comment: "the published package has no agent, and the agent's image no component",
      severity: "error",
      from: { path: "^(index\\.ts|component/)" },
      to: { path: "^(agent|test|examples)/" },
    },
    {
      name: "agent-and-component",
      comment: "the agent's image has component/address and nothing else of the component",
      severity: "error",
      from: { path: "^agent/" },
      to: { path: "^(component/(?!address/)|test/|examples/)" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)(dist|node_modules)/" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { extensions: [".ts", ".mjs", ".js", ".json"] },
  },
};
