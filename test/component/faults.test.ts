import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import { MagicIpAddress, type MagicIpAddressArgs, MagicIpAddresses } from "../../index.ts";
import { mockPulumi } from "./installation.ts";

await mockPulumi();

/** What a program is told about a MagicIpAddress with the arguments changed as told; undefined when it is right. */
function refusal(changes: object, name = "dd-agent"): pulumi.InputPropertiesError | undefined {
  const right = { ipAddress: "169.254.210.210", selector: "app=dd-agent", ports: [{ port: 8126 }] };
  const args = { ...right, ...changes } as MagicIpAddressArgs;
  try {
    new MagicIpAddress(name, args);
    return undefined;
  } catch (error) {
    if (pulumi.InputPropertiesError.isInstance(error)) return error;
    throw error;
  }
}

const faults = (changes: object, name?: string) =>
  refusal(changes, name)?.errors?.map(({ propertyPath, reason }) => `${propertyPath}: ${reason}`);

const port = (changes: object) => ({ ports: [{ port: 8126, ...changes }] });

const wrong: [string, object, string][] = [
  [
    "no IPv4 address",
    { ipAddress: "169.254.210" },
    'ipAddress: "169.254.210" is not an IPv4 address: write four numbers 0–255, as 169.254.210.210',
  ],
  [
    "a reserved address",
    { ipAddress: "169.254.169.254" },
    "ipAddress: 169.254.169.254 is reserved for the cloud's instance metadata service: choose another, as 169.254.210.210",
  ],
  ["no address at all", { ipAddress: undefined }, 'ipAddress: is missing: write "169.254.210.210"'],
  ["a number for an address", { ipAddress: 1 }, 'ipAddress: 1 is not a string: write "169.254.210.210"'],
  [
    "an empty selector",
    { selector: "" },
    "selector: is empty: it would select every pod: write it as for kubectl -l, as app=dd-agent",
  ],
  [
    "an unparsable selector",
    { selector: "app==dd=agent" },
    'selector: has "dd=agent", which is no label value (at most 63 letters, digits, "-", "_", ".", alphanumeric at both ends): write it as for kubectl -l, as app=dd-agent',
  ],
  [
    "a selector that compares numbers (N2)",
    { selector: "tier>5" },
    'selector: has "tier>5": > and < are not served (write key=value, key in (a,b), key or !key): write it as for kubectl -l, as app=dd-agent',
  ],
  [
    "a selector with two commas",
    { selector: "a=b,,c" },
    'selector: has nothing between two commas in "a=b,,c": write it as for kubectl -l, as app=dd-agent',
  ],
  [
    "a selector with a key that is none",
    { selector: "-app=x" },
    'selector: has "-app", which is no label key (letters, digits, "-", "_", ".", with an optional DNS prefix and "/"): write it as for kubectl -l, as app=dd-agent',
  ],
  [
    "two ports of one name",
    {
      ports: [
        { name: "apm", port: 1 },
        { name: "apm", port: 2 },
      ],
    },
    'ports[1].name: "apm" is the name of ports[0].name too: names are unique within an address',
  ],
  [
    "a namespace in capitals",
    { namespace: "Monitoring" },
    'namespace: "Monitoring" is no namespace: at most 63 lower-case letters, digits and "-", as monitoring',
  ],
  [
    "an IPv6 address with a zone",
    { ipAddress: "fd00::1%eth0" },
    'ipAddress: "fd00::1%eth0" is not an IPv6 address: write up to eight groups of hexadecimal digits without a zone, as fd00:210::210',
  ],
  [
    "a link-local IPv6 address",
    { ipv6Address: "fe80::1" },
    "ipv6Address: fe80::1 is reserved for link-local traffic, which needs a zone and is never forwarded: choose another, as fd00:210::210",
  ],
  [
    "a second IPv6 address",
    { ipAddress: "fd00:210::210", ipv6Address: "fd00:210::211" },
    "ipv6Address: fd00:210::211 is set beside ipAddress fd00:210::210, which is an IPv6 address already: leave one of them out, or write an IPv4 address there",
  ],
  [
    "a number for the second address",
    { ipv6Address: 1 },
    'ipv6Address: 1 is not a string: write "fd00:210::210"',
  ],
  [
    "another answer to clients",
    { whenNoTarget: "Refuse" },
    'whenNoTarget: "Refuse" is no answer to clients: write Reject, Drop or Pass',
  ],
  [
    "a word for loadBalance",
    { loadBalance: "yes" },
    'loadBalance: "yes" is not a boolean: write true or false',
  ],
  [
    "a range that ends before it begins",
    port({ endPort: 8125 }),
    "ports[0].endPort: 8125 is less than port 8126: write the last port of the range, 8126 to 65535",
  ],
  [
    "a range with a target port",
    port({ endPort: 8130, targetPort: 80 }),
    "ports[0].targetPort: 80 is set beside endPort 8130: a range keeps its port numbers, so leave the target port out",
  ],
  [
    "a range with a target port by name",
    port({ endPort: 8130, targetPortName: "http" }),
    'ports[0].targetPortName: "http" is set beside endPort 8130: a range keeps its port numbers, so leave the target port out',
  ],
  [
    "a port in a range",
    { ports: [{ port: 80, endPort: 90 }, { port: 85 }] },
    "ports[1].port: 169.254.210.210:85/TCP is taken by ports[0].port (80-90): a port can lead to one target only",
  ],
  [
    "ports that are no list",
    { ports: { port: 1 } },
    'ports: {"port":1} is not a list: write [{ port: 8126 }]',
  ],
  ["a port that is a number", { ports: [8126] }, "ports[0]: 8126 is not an object: write { port: 8126 }"],
  ["port 0", port({ port: 0 }), "ports[0].port: 0 is not a port: write a whole number from 1 to 65535"],
  [
    "port 65536",
    port({ port: 65536 }),
    "ports[0].port: 65536 is not a port: write a whole number from 1 to 65535",
  ],
  ["port 1.5", port({ port: 1.5 }), "ports[0].port: 1.5 is not a port: write a whole number from 1 to 65535"],
  ["a port in quotes", port({ port: "8126" }), 'ports[0].port: "8126" is not a number: write 8126'],
  [
    "a duplicate port",
    { ports: [{ port: 53 }, { port: 53, protocol: "TCP" }] },
    "ports[1].port: 169.254.210.210:53/TCP is taken by ports[0].port: a port can lead to one target only",
  ],
  [
    "another protocol",
    port({ protocol: "ICMP" }),
    'ports[0].protocol: "ICMP" is not a protocol: write TCP, UDP or SCTP',
  ],
  [
    "target port 0",
    port({ targetPort: 0 }),
    "ports[0].targetPort: 0 is not a port: write a whole number from 1 to 65535",
  ],
  [
    "a target port by a name that no container port can have",
    port({ targetPortName: "Trace" }),
    'ports[0].targetPortName: "Trace" is neither a port number from 1 to 65535 nor the name of a container port, as apm',
  ],
  [
    "a target port twice",
    port({ targetPort: 80, targetPortName: "http" }),
    'ports[0].targetPortName: "http" is set beside targetPort 80: set one of them',
  ],
  [
    "a port's name with a blank",
    port({ name: "my apm" }),
    'ports[0].name: "my apm" is no port name: at most 15 lower-case letters, digits and "-", with a letter, as apm',
  ],
  [
    "a misspelt argument",
    port({ protcol: "UDP" }),
    "ports[0].protcol: is not known: the nearest name is protocol, and what can be set is name, port, endPort, targetPort, targetPortName, protocol",
  ],
  [
    "an agent's namespace in capitals",
    { agent: { namespace: "Infra" } },
    'agent.namespace: "Infra" is no namespace: at most 63 lower-case letters, digits and "-", as kube-system',
  ],
  [
    "no image",
    { agent: { image: "Agent:latest:1" } },
    'agent.image: "Agent:latest:1" is no image: write repository[:tag][@sha256:digest], as magic-ip-address-agent:0.1.0',
  ],
  [
    "another pull policy",
    { agent: { imagePullPolicy: "always" } },
    'agent.imagePullPolicy: "always" is no pull policy: write Always, IfNotPresent or Never',
  ],
  [
    "a poll interval of 0",
    { agent: { pollInterval: 0 } },
    "agent.pollInterval: 0 is no interval: write a whole number of seconds from 1 to 86400",
  ],
  [
    "an impossible health port",
    { agent: { healthPort: 70000 } },
    "agent.healthPort: 70000 is not a port: write a whole number from 1 to 65535",
  ],
  [
    "another backend",
    { agent: { backend: "ipvs" } },
    'agent.backend: "ipvs" is no backend: write auto, nftables or iptables',
  ],
  [
    "another way to masquerade",
    { agent: { masquerade: "never" } },
    'agent.masquerade: "never" is no way to masquerade: write auto or always',
  ],
  [
    "a word for hostClients",
    { agent: { hostClients: "no" } },
    'agent.hostClients: "no" is not a boolean: write true or false',
  ],
  [
    "a block without its bits",
    { agent: { allowedCidrs: ["169.254.0.0/16", "10.0.0.0"] } },
    'agent.allowedCidrs[1]: "10.0.0.0" is not a CIDR: write address/bits, as 10.0.0.0/32 for this address only',
  ],
  [
    "an address outside of what is allowed",
    { agent: { allowedCidrs: ["10.0.0.0/8", "fd00::/8"] } },
    "ipAddress: 169.254.210.210 is in none of the allowedCidrs: choose an address in 10.0.0.0/8, fd00::/8",
  ],
  [
    "a namespace to make that every cluster has",
    { agent: { createNamespace: true } },
    "agent.createNamespace: every cluster has the namespace kube-system already: set agent.namespace to a new one, or leave createNamespace out",
  ],
  [
    "an impossible metrics port",
    { agent: { metricsPort: 0 } },
    "agent.metricsPort: 0 is not a port: write a whole number from 1 to 65535",
  ],
  [
    "one port for health and metrics",
    { agent: { healthPort: 61500, metricsPort: 61500 } },
    "agent.metricsPort: 61500 is the agent's healthPort too: choose another for one of them",
  ],
  [
    "another operator",
    { agent: { tolerations: [{ key: "a" }, { operator: "exists" }] } },
    'agent.tolerations[1].operator: "exists" is no operator: write Exists or Equal',
  ],
  [
    "another effect",
    { agent: { tolerations: [{ effect: "NoRun" }] } },
    'agent.tolerations[0].effect: "NoRun" is no effect of a taint: write NoSchedule, PreferNoSchedule or NoExecute',
  ],
  [
    "another update strategy",
    { agent: { updateStrategy: { type: "Recreate" } } },
    'agent.updateStrategy.type: "Recreate" is no update strategy: write RollingUpdate or OnDelete',
  ],
  ...["0", "0%", "101%", "half"].map((maxUnavailable): [string, object, string] => [
    `${maxUnavailable} nodes at a time`,
    { agent: { updateStrategy: { maxUnavailable } } },
    `agent.updateStrategy.maxUnavailable: "${maxUnavailable}" is no number of nodes: write one, from 1, or a share of them, as 10%`,
  ]),
  [
    "a share of the nodes that nobody replaces",
    { agent: { updateStrategy: { type: "OnDelete", maxUnavailable: "1" } } },
    "agent.updateStrategy.maxUnavailable: is set beside type OnDelete, which replaces no pod by itself: leave one of them out",
  ],
  ["a word for skipAwait", { skipAwait: "yes" }, 'skipAwait: "yes" is not a boolean: write true or false'],
  [
    "a label that is a number",
    { agent: { nodeSelector: { "example.com/pool": 1 } } },
    'agent.nodeSelector["example.com/pool"]: 1 is not a string: write "1"',
  ],
  [
    "addresses in the chart's values (N8)",
    { values: { addresses: [{}] } },
    "values.addresses: cannot be set: write ipAddress, selector and ports beside values, or take MagicIpAddresses",
  ],
  ...["healthPort", "metricsPort", "nodeSelector", "allowedCidrs", "podLabels"].map(
    (name): [string, object, string] => [
      `${name} in the chart's values (N8)`,
      { values: { [name]: null } },
      `values.${name}: cannot be set: write it as agent.${name}`,
    ],
  ),
  [
    "an image in the chart's values (N8)",
    { values: { image: { pullPolicy: "Always" } } },
    "values.image: cannot be set: write it as agent.image, and its pullPolicy as agent.imagePullPolicy",
  ],
  [
    "another name for the DaemonSet",
    { values: { fullnameOverride: "x" } },
    "values.fullnameOverride: cannot be set: the component's own name is that of the DaemonSet, and its output says so",
  ],
];

describe("wrong arguments", () => {
  it.each(wrong)("%s", (_, changes, fault) => {
    expect(faults(changes)).toEqual([fault]);
  });

  it.each(["Dd", "dd_agent", "dd.agent", "-dd", "a".repeat(54), ""])("the name %j", (name) => {
    expect(faults({}, name)).toEqual([
      `name: "${name}" cannot name a DaemonSet: at most 53 lower-case letters, digits and "-", as dd-agent`,
    ]);
  });

  it("are told all at once, in a message for a person", () => {
    const changes = {
      ipAddress: "169.254.169.254",
      selector: "app in",
      ports: [{ port: 0 }, { port: "x" }, {}],
      agent: { image: "UPPER", pollInterval: 0 },
    };
    expect(refusal(changes)?.message).toBe(
      [
        'MagicIpAddress "dd-agent" cannot be installed, 7 arguments are wrong:',
        "  ipAddress: 169.254.169.254 is reserved for the cloud's instance metadata service: choose another, as 169.254.210.210",
        "  ports[0].port: 0 is not a port: write a whole number from 1 to 65535",
        '  ports[1].port: "x" is not a number: write 8126',
        "  ports[2].port: is missing: write 8126",
        '  selector: has a part that is no requirement: "app in" (write key=value, key in (a,b), key or !key): write it as for kubectl -l, as app=dd-agent',
        '  agent.image: "UPPER" is no image: write repository[:tag][@sha256:digest], as magic-ip-address-agent:0.1.0',
        "  agent.pollInterval: 0 is no interval: write a whole number of seconds from 1 to 86400",
      ].join("\n"),
    );
  });

  it("no addresses", () => {
    expect(() => new MagicIpAddresses("dd-agent", { addresses: [] })).toThrow(
      "  addresses: is empty: at least one address is needed",
    );
  });

  it("are printed by Pulumi without a stack trace", () => {
    expect(pulumi.RunError.isInstance(refusal({ selector: "" }))).toBe(true);
  });
});

const ofOne =
  "ipAddress, ipv6Address, selector, namespace, ports, hostNetworkTargets, loadBalance, whenNoTarget, agent, skipAwait, values";
const anAddress = '{ ipAddress: "169.254.210.210", selector: "app=dd-agent", ports: [{ port: 8126 }] }';

/** What programs wrote in the trials by hand, in JavaScript and with casts: each is told in one sentence (P7). */
describe("a mistake that users made", () => {
  const make = (type: unknown, ...args: unknown[]) =>
    new (type as new (...args: unknown[]) => unknown)(...args);
  const one = (changes: object) => () =>
    make(MagicIpAddress, "a", { ipAddress: "169.254.210.210", selector: "app=dd-agent", ...changes });
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  const several = (args?: unknown) => () => make(MagicIpAddresses, "a", args);

  it.each<[string, () => unknown, string[]]>([
    [
      "a misspelt `values`",
      one({ valuez: {} }),
      [`valuez: is not known: the nearest name is values, and what can be set is ${ofOne}`],
    ],
    ["a name like no other", one({ xyz: 1 }), [`xyz: is not known: what can be set is ${ofOne}`]],
    [
      "an argument of the agent beside it",
      one({ metricsPort: 9810 }),
      [`metricsPort: is not known: the nearest name is agent.metricsPort, and what can be set is ${ofOne}`],
    ],
    [
      "an argument of an address beside the list",
      several({ addresses: [{ ipAddress: "169.254.210.210", selector: "a=b" }], selector: "a=b" }),
      [
        "selector: is not known: the nearest name is addresses[0].selector, and what can be set is addresses, agent, skipAwait, values",
      ],
    ],
    [
      "no arguments for one address",
      () => make(MagicIpAddress, "a"),
      ['ipAddress: is missing: write "169.254.210.210"', 'selector: is missing: write "app=dd-agent"'],
    ],
    ["no arguments for several", several(), [`addresses: is missing: write [${anAddress}]`]],
    [
      "addresses that are undefined",
      several({ addresses: undefined }),
      [`addresses: is missing: write [${anAddress}]`],
    ],
    [
      "addresses that are null",
      several({ addresses: null }),
      [`addresses: is missing: write [${anAddress}]`],
    ],
    [
      "a text in place of the list",
      several({ addresses: "169.254.210.210" }),
      [`addresses: "169.254.210.210" is not a list: write [${anAddress}]`],
    ],
    [
      "null in the list",
      several({ addresses: [null] }),
      [`addresses[0]: null is not an object: write ${anAddress}`],
    ],
    [
      "a text in place of the arguments",
      several("x"),
      ['args: "x" is not an object: write { addresses: […] }'],
    ],
    [
      "the same for one address",
      () => make(MagicIpAddress, "a", "x"),
      ['args: "x" is not an object: write { ipAddress: …, selector: … }'],
    ],
    [
      "an Output in place of the arguments",
      several(pulumi.output({ addresses: [] })),
      ["args: are an Output or a promise: write an object, each field of which may be one"],
    ],
    [
      "no name",
      () => make(MagicIpAddress, undefined, { ipAddress: "169.254.210.210", selector: "app=dd-agent" }),
      ['name: is missing: write the name of the DaemonSet, as "dd-agent"'],
    ],
    [
      "a number for a name (N7)",
      () => make(MagicIpAddress, 5, { ipAddress: "169.254.210.210", selector: "app=dd-agent" }),
      ['name: 5 is not a string: write the name of the DaemonSet, as "dd-agent"'],
    ],
    [
      "what JSON cannot say (N7)",
      one({ ports: [{ port: 8126n }], selector: circular, agent: { pollInterval: 1e400 } }),
      [
        "ports[0].port: 8126n is not a number: write 8126",
        'selector: [object Object] is not a string: write "app=dd-agent"',
        "agent.pollInterval: Infinity is no interval: write a whole number of seconds from 1 to 86400",
      ],
    ],
    [
      "a bigint for the arguments (N7)",
      () => make(MagicIpAddress, "a", 1n),
      ["args: 1n is not an object: write { ipAddress: …, selector: … }"],
    ],
    [
      "a gap in a list, and a Map and a Date for objects (N7)",
      one({
        ports: [, { port: 1 }],
        agent: new Map([["namespace", "x"]]),
        values: new Date(),
      }),
      [
        "ports[0]: undefined is not an object: write { port: 8126 }",
        'agent: [object Map] is not an object: write { namespace: "kube-system" }',
        "values: [object Date] is not a map: write { affinity: {} }",
      ],
    ],
    [
      "an object without a class for a text (N7)",
      one({ agent: { podLabels: { a: Object.create(null) } } }),
      ["agent.podLabels.a: {} is not a string: write a text"],
    ],
    [
      "true for a number of nodes",
      one({ agent: { updateStrategy: { maxUnavailable: true } } }),
      ['agent.updateStrategy.maxUnavailable: true is not a string or number: write "10%"'],
    ],
    [
      "no nodes at a time, as a number",
      one({ agent: { updateStrategy: { maxUnavailable: 0 } } }),
      [
        "agent.updateStrategy.maxUnavailable: 0 is no number of nodes: write one, from 1, or a share of them, as 10%",
      ],
    ],
    [
      "Alibaba's metadata service",
      one({ ipAddress: "100.100.100.200" }),
      [
        "ipAddress: 100.100.100.200 is reserved for Alibaba Cloud's instance metadata service: choose another, as 169.254.210.210",
      ],
    ],
    [
      "what Helm alone used to render: the metadata service, loopback, no address, multicast",
      several({
        addresses: ["169.254.169.254", "127.0.0.1", "0.0.0.0", "224.0.0.1"].map((ipAddress) => ({
          ...{ ipAddress, selector: "a=b" },
        })),
      }),
      [
        "addresses[0].ipAddress: 169.254.169.254 is reserved for the cloud's instance metadata service: choose another, as 169.254.210.210",
        "addresses[1].ipAddress: 127.0.0.1 is reserved for loopback: every pod has its own: choose another, as 169.254.210.210",
        'addresses[2].ipAddress: 0.0.0.0 is reserved for "this network": choose another, as 169.254.210.210',
        "addresses[3].ipAddress: 224.0.0.1 is reserved for multicast: choose another, as 169.254.210.210",
      ],
    ],
    [
      "a selector that is not closed",
      one({ selector: "app in x (" }),
      [
        'selector: has a part that is no requirement: "app in x (" (write key=value, key in (a,b), key or !key): write it as for kubectl -l, as app=dd-agent',
      ],
    ],
  ])("%s", (_, program, expected) => {
    const title = `cannot be installed, ${expected.length === 1 ? "one argument is" : `${expected.length} arguments are`} wrong:`;
    expect(program).toThrow(pulumi.InputPropertiesError);
    expect(program).toThrow([title, ...expected.map((fault) => `  ${fault}`)].join("\n"));
  });

  it("hides no other: an unknown field, a missing one and wrong values are told in one message (P3)", () => {
    const address = { ipAddress: "1.2.3", selectr: "a=b", ports: [{ port: 0 }, { port: "1", prot: "UDP" }] };
    const program = several({ addresses: [address, null], agent: { image: "UPPER", helthPort: 1 }, xyz: 1 });
    const paths = (error: unknown) =>
      (error as pulumi.InputPropertiesError).errors?.map(({ propertyPath }) => propertyPath);
    let found: string[] | undefined;
    try {
      program();
    } catch (error) {
      found = paths(error);
    }
    expect(found).toEqual([
      "addresses[0].ipAddress",
      "addresses[0].ports[0].port",
      "addresses[0].ports[1].port",
      "addresses[0].ports[1].prot",
      "addresses[0].selector",
      "addresses[0].selectr",
      "addresses[1]",
      "agent.helthPort",
      "agent.image",
      "xyz",
    ]);
  });
});

describe("what is not known yet", () => {
  const unknown = new Promise<never>(() => {});
  const empty = "selector: is empty: it would select every pod: write it as for kubectl -l, as app=dd-agent";
  /** The faults besides one that keeps the program from waiting for what never comes. */
  const others = (changes: object) =>
    faults({ ...changes, selector: "" })?.filter((fault) => fault !== empty);

  it.each([
    [[{ port: unknown }, { port: unknown }]],
    [[{ port: unknown, endPort: 90 }, { port: 80 }]],
    [[{ port: 79, endPort: unknown }, { port: 80 }]],
  ])("claims no port: %#", (ports) => {
    expect(others({ ports })).toEqual([]);
  });

  it("is no whole IP, where the ports are not known", () => {
    const whole = { ipAddress: "169.254.210.210", selector: "a=b" };
    const refusalOf = (address: MagicIpAddressArgs) => {
      const wrong = { ...whole, ipAddress: "x" };
      return () => new MagicIpAddresses("dd-agent", { addresses: [address, address, wrong] });
    };
    expect(refusalOf(whole)).toThrow(
      "addresses[1].ipAddress: 169.254.210.210 is taken by addresses[0].ipAddress, which has no ports either: list the ports of one of them, or choose another address",
    );
    expect(refusalOf({ ...whole, ports: unknown })).toThrow("one argument is wrong");
  });

  it("holds nothing against an address, where it is one of the blocks that addresses must lie in", () => {
    expect(others({ agent: { allowedCidrs: ["10.0.0.0/8", unknown] } })).toEqual([]);
    expect(others({ agent: { allowedCidrs: unknown } })).toEqual([]);
  });

  it("lies in no block and outside of none, where it is an address itself", () => {
    const agent = { allowedCidrs: ["169.254.0.0/16"] };
    expect(others({ ipAddress: unknown, ipv6Address: unknown, agent })).toEqual([]);
  });
});

describe("right arguments", () => {
  it.each([
    ["the shortest name", {}, "d"],
    ["the longest name", {}, "a".repeat(53)],
    ["null for nothing", { namespace: null, agent: { image: null }, values: null }, "dd-agent"],
    ["one port number for TCP and UDP", { ports: [{ port: 53 }, { port: 53, protocol: "UDP" }] }, "dd-agent"],
    ["a number of nodes at a time", { agent: { updateStrategy: { maxUnavailable: 5 } } }, "dd-agent"],
    ["no ports, for the whole IP", { ports: undefined }, "dd-agent"],
    ["an empty list of ports, for the whole IP", { ports: [] }, "dd-agent"],
    ["an IPv6 address", { ipAddress: "fd00:210::210" }, "dd-agent"],
    ["one of each family", { ipv6Address: "fd00:210::210", loadBalance: true }, "dd-agent"],
    ["a range", port({ endPort: 8130, protocol: "SCTP" }), "dd-agent"],
    ["an answer to clients", { whenNoTarget: "Pass" }, "dd-agent"],
    ["everything", { agent: everything(), hostNetworkTargets: true, values: { affinity: {} } }, "dd-agent"],
  ])("%s", (_, changes, name) => {
    expect(faults(changes, name)).toBeUndefined();
  });
});

function everything(): Required<NonNullable<MagicIpAddressArgs["agent"]>> {
  return {
    namespace: "infra",
    createNamespace: true,
    image: "registry.example:5000/a/b:1",
    imagePullPolicy: "Always",
    imagePullSecrets: ["s"],
    pollInterval: 60,
    verbose: true,
    healthPort: 61500,
    metricsPort: 9810,
    backend: "iptables",
    hostClients: false,
    outsideGuard: false,
    masquerade: "always",
    startupTaint: true,
    allowedCidrs: ["169.254.210.0/24"],
    tolerations: [{ key: "a", operator: "Equal", value: "b", effect: "NoExecute", tolerationSeconds: 1 }],
    nodeSelector: { a: "b" },
    priorityClassName: "p",
    resources: { requests: { cpu: "1" }, limits: { memory: "1Gi" } },
    updateStrategy: { type: "RollingUpdate", maxUnavailable: "10%" },
    podLabels: { team: "a" },
    podAnnotations: { "example.com/a": "b" },
  };
}
