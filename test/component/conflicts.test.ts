import * as pulumi from "@pulumi/pulumi";
import { beforeEach, describe, expect, it } from "vitest";
import { conflicts } from "../../component/conflicts.ts";
import { argumentFaults, type Known, knownOf } from "../../component/faults.ts";

const right = { ipAddress: "169.254.210.210", selector: "app=dd-agent", ports: [{ port: 8126 }] };
const elsewhere = { ...right, ipAddress: "169.254.210.211" };

let run: object;
beforeEach(() => {
  run = {};
});

/** Installs it in the run; returns what is in its way. */
function install(name: string, args: object, cluster = "default", type = "MagicIpAddresses"): string[] {
  const subject = { type, name, pathOf: (path: string) => path };
  expect(argumentFaults(subject, args)).toEqual([]);
  const faults = conflicts(run, { ...subject, cluster, known: knownOf(args) });
  return faults.map(({ path, reason }) => `${path}: ${reason}`);
}

const one = (address: object, others: object = {}) => ({ addresses: [address], ...others });

describe("what two installations of one program may not both have", () => {
  it.each<[string, object, object, string]>([
    [
      "a port",
      one(right),
      one({ ...right, ports: [{ port: 80 }, { port: 8126 }] }),
      'addresses[0].ports[1].port: 169.254.210.210:8126/TCP is taken by MagicIpAddresses "a", addresses[0].ports[0].port: a port can lead to one target only',
    ],
    [
      "a port in a range, of the same IPv6 address in other words",
      one({ ...right, ipv6Address: "fd00:210::210", ports: [{ port: 8120, endPort: 8130 }] }),
      one({ ...right, ipAddress: "FD00:210:0::210" }),
      'addresses[0].ports[0].port: [fd00:210::210]:8126/TCP is taken by MagicIpAddresses "a", addresses[0].ports[0].port (8120-8130): a port can lead to one target only',
    ],
    [
      "a whole IP",
      { addresses: [elsewhere, { ...right, ports: [] }] },
      one({ ...right, ports: undefined }),
      'addresses[0].ipAddress: 169.254.210.210 is taken by MagicIpAddresses "a", addresses[1].ipAddress, which has no ports either: list the ports of one of them, or choose another address',
    ],
    [
      "a health port",
      one(right, { agent: { healthPort: 61500 } }),
      one(elsewhere, { agent: { healthPort: 61500 } }),
      'agent.healthPort: 61500 is the healthPort of MagicIpAddresses "a", on the same nodes: choose another port',
    ],
    [
      "a port of the node for health and for metrics",
      one(right, { agent: { metricsPort: 61500 } }),
      one(elsewhere, { agent: { healthPort: 61500 } }),
      'agent.healthPort: 61500 is the metricsPort of MagicIpAddresses "a", on the same nodes: choose another port',
    ],
    [
      "a namespace to make",
      one(right, { agent: { namespace: "infra", createNamespace: true } }),
      one(elsewhere, { agent: { namespace: "infra", createNamespace: true } }),
      'agent.createNamespace: MagicIpAddresses "a" makes the namespace infra already: set it for one of them only',
    ],
  ])("%s", (_, first, second, fault) => {
    expect(install("a", first)).toEqual([]);
    expect(install("b", second)).toEqual([fault]);
  });

  it("a name in a namespace", () => {
    expect(install("a", one(right))).toEqual([]);
    expect(install("a", one(elsewhere, { agent: { namespace: "kube-system" } }), "default", "Other")).toEqual(
      [
        'name: "a" in the namespace kube-system is the name of MagicIpAddresses "a" too: choose another name or agent.namespace',
      ],
    );
  });

  it("and the first is not told of the second, which was refused", () => {
    install("a", one(right));
    expect(install("b", one(right))).toHaveLength(1);
    expect(install("a", one(right))).toEqual([]);
  });

  it("nothing else: each conflict is told with its own path", () => {
    install("a", one(right, { agent: { healthPort: 61500 } }));
    expect(
      install("b", one(right, { agent: { healthPort: 61500 } })).map((fault) => fault.split(":")[0]),
    ).toEqual(["agent.healthPort", "addresses[0].ports[0].port"]);
  });
});

describe("what two installations may both have", () => {
  const unknown = pulumi.unknown;
  const pool = (name: unknown) => ({ agent: { nodeSelector: { pool: name } } });

  it.each<[string, Partial<Known> & object, object]>([
    [
      "a port, of different protocols",
      one(right),
      one({ ...right, ports: [{ port: 8126, protocol: "UDP" }] }),
    ],
    ["a port, one of them of the whole IP", one(right), one({ ...right, ports: [] })],
    ["a port, on nodes of different pools", one(right, pool("a")), one(right, pool("b"))],
    ["a port, on nodes of a pool that is not known", one(right, pool("a")), one(right, pool(unknown))],
    ["a port, on nodes chosen in other words", one(right), one(right, { values: { affinity: {} } })],
    ["an IP that is not known", one({ ...right, ipAddress: unknown }), one({ ...right, ipAddress: unknown })],
    ["ports that are not known", one({ ...right, ports: unknown }), one({ ...right, ports: [] })],
    ["a port that is not known", one({ ...right, ports: [{ port: unknown }] }), one(right)],
    [
      "a namespace, that one of them makes",
      one(right, { agent: { namespace: "infra", createNamespace: true } }),
      one(elsewhere, { agent: { namespace: "infra" } }),
    ],
  ])("%s", (_, first, second) => {
    expect(install("a", first)).toEqual([]);
    expect(install("b", second)).toEqual([]);
  });

  it("everything, in different clusters", () => {
    expect([install("a", one(right), "default"), install("b", one(right), "provider 1")]).toEqual([[], []]);
  });

  it("everything, in different runs: the preview and the update of one process", () => {
    install("a", one(right));
    run = {};
    expect(install("b", one(right))).toEqual([]);
  });

  it("what an installation itself had before, when it is asked about again", () => {
    install("a", one(right));
    expect(install("a", one(right))).toEqual([]);
    install("a", one(elsewhere));
    expect(install("b", one(right))).toEqual([]);
  });

  it("everything, where there is no engine, as in unit tests", () => {
    const subject = { type: "MagicIpAddresses", pathOf: (path: string) => path, cluster: "default" };
    const known = knownOf(one(right));
    conflicts(undefined, { ...subject, name: "a", known });
    expect(conflicts(undefined, { ...subject, name: "b", known })).toEqual([]);
  });
});
