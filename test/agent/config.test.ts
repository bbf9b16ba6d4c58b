import { describe, expect, it } from "vitest";
import { ConfigError, configFromEnvironment, parseConfig } from "../../agent/config/config.ts";
import { address, config } from "./state.ts";

function faults(read: () => unknown): string[] {
  try {
    read();
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.map(({ path, reason }) => `${path}: ${reason}`);
    throw error;
  }
  return [];
}

const faultsOf = (changes: Record<string, unknown>) =>
  faults(() => parseConfig(JSON.stringify({ addresses: [address(changes)] })));

describe("a configuration file", () => {
  it("fills in every default", () => {
    const { addresses, ...rest } = parseConfig(
      "addresses: [{ipAddress: 169.254.210.210, selector: app=x, ports: [{port: 1}]}]",
    );
    expect(rest).toEqual({
      ...{ instance: "default", healthPort: 61000, pollInterval: 1800, verbose: false },
      ...{ backend: "auto", hostClients: true, outsideGuard: true, masquerade: "auto", startupTaint: false },
    });
    expect(addresses).toEqual([
      {
        ipAddresses: ["169.254.210.210"],
        namespace: "default",
        selector: "app=x",
        requirements: [{ key: "app", operator: "In", values: ["x"] }],
        hostNetworkTargets: false,
        loadBalance: false,
        whenNoTarget: "reject",
        ports: [{ name: undefined, port: 1, endPort: 1, targetPort: 1, protocol: "tcp" }],
      },
    ]);
  });

  it("has both IPs of an address, as the kernel writes them", () => {
    const ipsOf = (changes: Record<string, unknown>) =>
      config({ addresses: [address(changes)] }).addresses[0]?.ipAddresses;
    expect(ipsOf({ ipAddress: "FD00:0210:0:0::210" })).toEqual(["fd00:210::210"]);
    expect(ipsOf({ ipv6Address: "fd00:210:0::211" })).toEqual(["169.254.210.210", "fd00:210::211"]);
  });

  it.each([{ ports: undefined }, { ports: [] }])("takes an address with %j for a whole IP", (changes) => {
    expect(config({ addresses: [address(changes)] }).addresses[0]?.ports).toEqual([]);
  });

  it.each([
    [
      { port: 8000, endPort: 8010 },
      { port: 8000, endPort: 8010, targetPort: undefined, protocol: "tcp" },
    ],
    [
      { port: 80, endPort: 80 },
      { port: 80, endPort: 80, targetPort: 80, protocol: "tcp" },
    ],
    [
      { port: 80, targetPort: "http" },
      { port: 80, endPort: 80, targetPort: "http", protocol: "tcp" },
    ],
    [
      { port: 80, protocol: "SCTP" },
      { port: 80, endPort: 80, targetPort: 80, protocol: "sctp" },
    ],
  ])("reads the port %j", (written, read) => {
    const [port] = config({ addresses: [address({ ports: [written] })] }).addresses[0]?.ports ?? [];
    expect(port).toEqual({ name: undefined, ...read });
  });

  it.each([
    ["Reject", "reject"],
    ["Drop", "drop"],
    ["Pass", "pass"],
  ])("knows the answer %s to clients without a target", (whenNoTarget, read) => {
    const [first] = config({ addresses: [address({ whenNoTarget, loadBalance: true })] }).addresses;
    expect(first).toMatchObject({ whenNoTarget: read, loadBalance: true });
  });

  it("takes what is set for the whole installation", () => {
    const set = {
      metricsPort: 9091,
      backend: "iptables",
      hostClients: false,
      outsideGuard: false,
      masquerade: "always",
    };
    expect(config({ ...set, allowedCidrs: ["169.254.0.0/16"] })).toMatchObject(set);
  });

  it.each([
    [{ metricsPort: 61000 }, "metricsPort: 61000 is the healthPort: choose another"],
    [{ metricsPort: 0 }, "metricsPort: 0 is too small: at least 1"],
    [{ metricsPort: 65536 }, "metricsPort: 65536 is too big: at most 65535"],
    [{ backend: "ipvs" }, 'backend: "ipvs" is not known: write auto, nftables or iptables'],
    [{ masquerade: "never" }, 'masquerade: "never" is not known: write auto or always'],
    [{ hostClients: "no" }, 'hostClients: "no" is the wrong kind of value: true or false is needed'],
    [{ outsideGuard: 0 }, "outsideGuard: 0 is the wrong kind of value: true or false is needed"],
    [
      { allowedCidrs: "10.0.0.0/8" },
      'allowedCidrs: "10.0.0.0/8" is the wrong kind of value: a list is needed',
    ],
    [
      { allowedCidrs: ["10.1.2.3/8"] },
      'allowedCidrs[0]: "10.1.2.3/8" is not the first address of its block: write 10.0.0.0/8',
    ],
    [
      { allowedCidrs: ["10.0.0.0/8", "fd00::/8"] },
      "addresses[0].ipAddress: 169.254.210.210 is in none of the allowedCidrs: choose an address in 10.0.0.0/8, fd00::/8",
    ],
  ])("with %j is refused with a reason", (changes, message) => {
    expect(faults(() => config(changes))).toEqual([message]);
  });

  it.each([
    [
      { ipAddress: "169.254.210" },
      'addresses[0].ipAddress: "169.254.210" is not an IPv4 address: write four numbers 0–255, as 169.254.210.210',
    ],
    [
      { ipAddress: "169.254.169.254" },
      "addresses[0].ipAddress: 169.254.169.254 is reserved for the cloud's instance metadata service: choose another, as 169.254.210.210",
    ],
    [
      { ipAddress: "010.0.0.1" },
      'addresses[0].ipAddress: "010.0.0.1" is not an IPv4 address: write four numbers 0–255, as 169.254.210.210',
    ],
    [
      { ports: [{ port: 0 }] },
      "addresses[0].ports[0].port: 0 is not a port: write a whole number from 1 to 65535",
    ],
    [
      { ports: [{ port: 65536 }] },
      "addresses[0].ports[0].port: 65536 is not a port: write a whole number from 1 to 65535",
    ],
    [
      { ports: [{ port: 80 }, { port: 80 }] },
      "addresses[0].ports[1].port: 169.254.210.210:80/TCP is taken by addresses[0].ports[0].port: a port can lead to one target only",
    ],
    [
      { ipAddress: "fe80::1" },
      "addresses[0].ipAddress: fe80::1 is reserved for link-local traffic, which needs a zone and is never forwarded: choose another, as fd00:210::210",
    ],
    [
      { ipv6Address: "169.254.210.211" },
      'addresses[0].ipv6Address: "169.254.210.211" is not an IPv6 address: write up to eight groups of hexadecimal digits, as fd00:210::210',
    ],
    [
      { ports: [{ port: 80, endPort: 79 }] },
      "addresses[0].ports[0].endPort: 79 is less than port 80: write the last port of the range, 80 to 65535",
    ],
    [
      { ports: [{ port: 80, endPort: 90, targetPort: 80 }] },
      "addresses[0].ports[0].targetPort: 80 is set beside endPort 90: a range keeps its port numbers, so leave the target port out",
    ],
    [
      { ports: [{ port: 80, endPort: "90" }] },
      'addresses[0].ports[0].endPort: "90" is the wrong kind of value: a number is needed',
    ],
    [
      { ports: [{ port: 85 }, { port: 80, endPort: 90 }] },
      "addresses[0].ports[1].port: 169.254.210.210:80-90/TCP is taken by addresses[0].ports[0].port (85): a port can lead to one target only",
    ],
    [{ ports: null }, "addresses[0].ports: null is the wrong kind of value: a list is needed"],
    [
      { whenNoTarget: "reject" },
      'addresses[0].whenNoTarget: "reject" is no answer to clients: write Reject, Drop or Pass',
    ],
    [
      { loadBalance: "yes" },
      'addresses[0].loadBalance: "yes" is the wrong kind of value: true or false is needed',
    ],
    [
      { ports: [{ port: 80, protocol: "ICMP" }] },
      'addresses[0].ports[0].protocol: "ICMP" is not a protocol: write TCP, UDP or SCTP',
    ],
    [
      { ports: [{ port: 80, targetPort: "no such port" }] },
      'addresses[0].ports[0].targetPort: "no such port" is neither a port number from 1 to 65535 nor the name of a container port, as apm',
    ],
    [
      { selector: "" },
      "addresses[0].selector: is empty: it would select every pod: write it as for kubectl -l, as app=dd-agent",
    ],
    [
      { selector: "a b" },
      'addresses[0].selector: has a part that is no requirement: "a b" (write key=value, key in (a,b), key or !key): write it as for kubectl -l, as app=dd-agent',
    ],
    [
      { namespace: "Default" },
      'addresses[0].namespace: "Default" is no namespace: at most 63 lower-case letters, digits and "-", as monitoring',
    ],
    [
      { port: 80 },
      "addresses[0].port: is not a known field: the nearest is ports, and what can be set is ipAddress, ipv6Address, selector, namespace, hostNetworkTargets, loadBalance, whenNoTarget, ports",
    ],
    [
      { ports: [{ port: 80, xyz: 1 }] },
      "addresses[0].ports[0].xyz: is not a known field: what can be set is port, endPort, targetPort, protocol, name",
    ],
    [{ selector: 3 }, "addresses[0].selector: 3 is the wrong kind of value: a string is needed"],
    [{ selector: undefined }, "addresses[0].selector: is missing: a string is needed"],
  ])("%j is refused with a reason", (changes, message) => {
    expect(faultsOf(changes)).toEqual([message]);
  });

  it("with a value of the wrong kind or an unknown field hides no other fault (P3)", () => {
    const document = {
      pollIntervall: 5,
      metricsPort: 61000,
      allowedCidrs: ["169.254.0.0/16", 5],
      addresses: [
        null,
        {
          ...address({ ipAddress: "169.254.169.254", selector: 3 }),
          ports: [{ port: "80" }, { port: 0, prot: 1 }],
        },
        address({ loadBalance: "yes", ports: [{ port: 80 }, { port: 80 }] }),
        address({ ports: null, namespace: "Default" }),
      ],
    };
    expect(faults(() => parseConfig(JSON.stringify(document))).map((fault) => fault.split(":")[0])).toEqual([
      "addresses[0]",
      "addresses[1].ipAddress",
      "addresses[1].ports[0].port",
      "addresses[1].ports[1].port",
      "addresses[1].ports[1].prot",
      "addresses[1].selector",
      "addresses[2].loadBalance",
      "addresses[2].ports[1].port",
      "addresses[3].namespace",
      "addresses[3].ports",
      "allowedCidrs[1]",
      "metricsPort",
      "pollIntervall",
    ]);
    expect(faults(() => parseConfig("5"))).toEqual([": 5 is the wrong kind of value: a mapping is needed"]);
    expect(faults(() => parseConfig("addresses: 5"))).toEqual([
      "addresses: 5 is the wrong kind of value: a list is needed",
    ]);
  });

  it("says every fault in one message, and where it was read", () => {
    const text = JSON.stringify({
      addresses: [address({ ipAddress: "x" }), address({ ports: [{ port: 0, protocol: "x" }] })],
    });
    expect(() => parseConfig(text, "config.yaml")).toThrow(
      /config\.yaml cannot be used:\n(.*\n){2}.*protocol/,
    );
    expect(faults(() => parseConfig(text))).toHaveLength(3);
  });

  it("does not let an instance name reach nft that nft would read as more than a name", () => {
    for (const instance of ["a b", "a}", "a;", 'a"', "a\nb", "-a", "", "a/b"]) {
      expect(faults(() => parseConfig(JSON.stringify({ instance, addresses: [address()] })))).toHaveLength(1);
    }
  });

  it("that is no YAML is refused with the place", () => {
    expect(faults(() => parseConfig("addresses: [\n  {"))[0]).toMatch(/neither YAML nor JSON.*line 2/s);
  });
});

describe("the environment of the ancestor", () => {
  const env = { MAGIC_IP: "169.254.210.210", SELECTOR: "app=dd-agent", PORT: "8126" };

  it("makes a configuration of one address", () => {
    const { addresses, pollInterval } = configFromEnvironment({
      ...env,
      NAMESPACE: "monitoring",
      PROTOCOL: "udp",
      POLL_INTERVAL: "5",
    });
    expect(pollInterval).toBe(5);
    expect(addresses).toHaveLength(1);
    expect(addresses[0]).toMatchObject({
      namespace: "monitoring",
      ports: [{ port: 8126, targetPort: 8126, protocol: "udp" }],
    });
  });

  it("maps MAGIC_PORT to TARGET_PORT, or to PORT", () => {
    const ports = (more: NodeJS.ProcessEnv) =>
      configFromEnvironment({ ...env, ...more }).addresses[0]?.ports[0];
    expect(ports({ MAGIC_PORT: "80" })).toMatchObject({ port: 80, targetPort: 8126 });
    expect(ports({ PORT: "", MAGIC_PORT: "80", TARGET_PORT: "9411" })).toMatchObject({
      port: 80,
      targetPort: 9411,
    });
  });

  it("has a second IP, a range, an answer to clients, a spread and a backend", () => {
    const { addresses, backend, verbose, metricsPort } = configFromEnvironment({
      ...env,
      ...{ MAGIC_IPV6: "fd00:210::210", PORT: "8000-8010", WHEN_NO_TARGET: "drop", LOAD_BALANCE: "true" },
      ...{ BACKEND: "iptables", VERBOSE: "1", METRICS_PORT: "9091" },
    });
    expect({ backend, verbose, metricsPort }).toEqual({
      backend: "iptables",
      verbose: true,
      metricsPort: 9091,
    });
    expect(addresses[0]).toMatchObject({
      ipAddresses: ["169.254.210.210", "fd00:210::210"],
      whenNoTarget: "drop",
      loadBalance: true,
      ports: [{ port: 8000, endPort: 8010, targetPort: undefined }],
    });
  });

  it.each([{ PORT: "all" }, { PORT: "ALL" }, { PORT: "", MAGIC_PORT: "all" }])(
    "is for the whole IP with %j",
    (more) => {
      expect(configFromEnvironment({ ...env, ...more }).addresses[0]?.ports).toEqual([]);
    },
  );

  it.each<[NodeJS.ProcessEnv, string]>([
    [
      { PORT: "all", TARGET_PORT: "80" },
      'TARGET_PORT: "80" is set beside PORT=all, every port of every protocol: leave it out',
    ],
    [
      { MAGIC_PORT: "all" },
      'PORT: "8126" is set beside MAGIC_PORT=all, every port of every protocol: leave it out',
    ],
    [
      { PORT: "all", PROTOCOL: "udp" },
      'PROTOCOL: "udp" is set beside PORT=all, every port of every protocol: leave it out',
    ],
    [
      { PORT: "8010-8000" },
      "PORT: 8000 is less than port 8010: write the last port of the range, 8010 to 65535",
    ],
    [
      { MAGIC_PORT: "8000-8010" },
      "PORT: 8126 is set beside endPort 8010: a range keeps its port numbers, so leave the target port out",
    ],
    [{ MAGIC_PORT: "70000" }, "MAGIC_PORT: 70000 is not a port: write a whole number from 1 to 65535"],
    [{ PORT: "8000-" }, 'PORT: "8000-" is the wrong kind of value: a number is needed'],
    [
      { MAGIC_IPV6: "fe80::1" },
      "MAGIC_IPV6: fe80::1 is reserved for link-local traffic, which needs a zone and is never forwarded: choose another, as fd00:210::210",
    ],
    [
      { WHEN_NO_TARGET: "refuse" },
      'WHEN_NO_TARGET: "refuse" is no answer to clients: write Reject, Drop or Pass',
    ],
    [{ LOAD_BALANCE: "on" }, 'LOAD_BALANCE: "on" is the wrong kind of value: true or false is needed'],
    [{ VERBOSE: "on" }, 'VERBOSE: "on" is the wrong kind of value: true or false is needed'],
    [{ METRICS_PORT: "http" }, 'METRICS_PORT: "http" is the wrong kind of value: a number is needed'],
    [{ METRICS_PORT: "9", HEALTH_PORT: "9" }, "METRICS_PORT: 9 is the healthPort: choose another"],
    [{ BACKEND: "ipvs" }, 'BACKEND: "ipvs" is not known: write auto, nftables or iptables'],
  ])("with %j is refused with a reason", (more, message) => {
    expect(faults(() => configFromEnvironment({ ...env, ...more }))).toEqual([message]);
  });

  it("names the variables in its faults", () => {
    expect(faults(() => configFromEnvironment({}))).toEqual([
      expect.stringMatching(/^MAGIC_IP: is missing/),
      expect.stringMatching(/^SELECTOR: is missing/),
      expect.stringMatching(/^PORT: is missing/),
    ]);
    expect(faults(() => configFromEnvironment({ ...env, PORT: "http", PROTOCOL: "icmp" }))).toEqual([
      expect.stringMatching(/^PORT: "http" is the wrong kind of value/),
      expect.stringMatching(/^PROTOCOL: "ICMP" is not a protocol/),
    ]);
    expect(faults(() => configFromEnvironment({ ...env, PROTOCOL: "icmp" }))[0]).toMatch(
      /^PROTOCOL: "ICMP" is not a protocol/,
    );
  });
});
