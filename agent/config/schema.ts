import * as z from "zod";
import { Protocol, WhenNoTarget } from "../../component/address/address.ts";

// The configuration's fields, for the agent's parser, for the schema of the chart's values and for the tables of the
// READMEs (`npm run generate`). Where component/address has better messages for wrong values, the schema accepts any
// text or number here.

const wholeNumber = (minimum: number, maximum: number) =>
  z.int(`must be a whole number from ${minimum} to ${maximum}`).min(minimum).max(maximum);

/** The fields of a port. */
export const portShape = z.strictObject({
  port: z.number().describe("what clients dial"),
  endPort: z
    .number()
    .optional()
    .describe("last port of a range, which keeps its port numbers: no `targetPort` then (default: `port`)"),
  targetPort: z
    .union([z.number(), z.string()])
    .optional()
    .describe("where the target listens: a number, or the name of a container port (default: `port`)"),
  protocol: z
    .string()
    .optional()
    .meta({ enum: Object.values(Protocol), description: "`TCP`, `UDP` or `SCTP` (default: `TCP`)" }),
  name: z.string().optional().describe("for people and logs, unique within the address (default: none)"),
});

/** The fields of an address. */
export const addressShape = z.strictObject({
  ipAddress: z
    .string()
    .describe("the magic IP: a unicast IPv4 or IPv6 address that nothing else on the node claims"),
  ipv6Address: z
    .string()
    .optional()
    .describe("a second magic IP for the same targets, IPv6 beside an IPv4 `ipAddress` (default: none)"),
  selector: z
    .string()
    .describe("label selector of the target pods, in the syntax of `kubectl -l`, without > and <"),
  namespace: z.string().optional().describe("where the target pods are (default: `default`)"),
  hostNetworkTargets: z
    .boolean()
    .optional()
    .describe("accept targets on the host network (default: `false`)"),
  loadBalance: z
    .boolean()
    .optional()
    .describe(
      "spread new flows over all ready targets of the node, not all to the newest (default: `false`)",
    ),
  whenNoTarget: z
    .string()
    .optional()
    .meta({
      enum: Object.values(WhenNoTarget),
      description:
        "what clients get without a target: `Reject` (an error at once), `Drop` (nothing) or `Pass` (the network's own answer) (default: `Reject`)",
    }),
  ports: z
    .array(portShape)
    .optional()
    .describe("default: none, and so the whole IP, every port and protocol of it"),
});

/** The instance becomes part of an nft identifier, so only these characters are allowed. */
export const instancePattern = /^[A-Za-z0-9][A-Za-z0-9.-]{0,126}$/;

const instanceShape = z
  .string()
  .regex(instancePattern, 'must be 1–127 letters, digits, "." and "-", with a letter or digit first');

/** The fields of the configuration. */
export const configShape = z.strictObject({
  instance: instanceShape
    .default("default")
    .describe("names the table, `inet magic-ip-<instance>`; installations on one node need different ones"),
  healthPort: wholeNumber(1, 65535)
    .default(61000)
    .describe("`/livez`, `/readyz` and `/metrics` on the node's loopback"),
  metricsPort: wholeNumber(1, 65535)
    .optional()
    .describe("`/metrics` on every address of the node at this port, for Prometheus (default: none)"),
  pollInterval: wholeNumber(1, 86400)
    .default(1800)
    .describe("seconds between two lists of the pods behind the watch, ±25 %"),
  verbose: z.boolean().default(false).describe("debug lines too"),
  backend: z
    .enum(["auto", "nftables", "iptables"])
    .default("auto")
    .describe("`nftables`, `iptables`, or `auto`: nftables where it works, else iptables"),
  hostClients: z
    .boolean()
    .default(true)
    .describe("the node's own processes and pods on the host network are clients too"),
  outsideGuard: z.boolean().default(true).describe("packets to a magic IP from outside the node are dropped"),
  masquerade: z
    .enum(["auto", "always"])
    .default("auto")
    .describe(
      "`auto`: only where a client would otherwise get no answer; `always`: targets see the node, not the client",
    ),
  allowedCidrs: z
    .array(z.string())
    .default([])
    .describe("every magic IP must lie in one of these blocks, v4 and v6; empty: any may be"),
  startupTaint: z
    .boolean()
    .default(false)
    .describe(
      "remove the taint `magic-ip-address/agent-not-ready` from the node when the addresses work there",
    ),
  addresses: z.array(addressShape).describe("the magic IPs, at least one"),
});
