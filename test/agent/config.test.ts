import { describe, expect, it } from "vitest";
import { ConfigError, configFromEnvironment, parseConfig } from "../../agent/config.ts";
import { address } from "./state.ts";

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
    expect(rest).toEqual({ instance: "default", healthPort: 61000, pollInterval: 600, verbose: false });
    expect(addresses[0]).toMatchObject({
      namespace: "default",
      hostNetworkTargets: false,
      ports: [{ port: 1, targetPort: 1, protocol: "tcp" }],
    });
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
    [{ ports: [] }, "addresses[0].ports: is empty: at least one port is needed, as [{port: 8126}]"],
    [
      { ports: [{ port: 80, protocol: "ICMP" }] },
      'addresses[0].ports[0].protocol: "ICMP" is not a protocol: write TCP or UDP',
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
    [{ port: 80 }, "addresses[0].port: is not a known field"],
    [{ selector: 3 }, "addresses[0].selector: 3 is the wrong kind of value: a string is needed"],
    [{ selector: undefined }, "addresses[0].selector: is missing: a string is needed"],
  ])("%j is refused with a reason", (changes, message) => {
    expect(faultsOf(changes)).toEqual([message]);
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

  it("names the variables in its faults", () => {
    expect(faults(() => configFromEnvironment({}))).toEqual([
      expect.stringMatching(/^MAGIC_IP: is missing/),
      expect.stringMatching(/^SELECTOR: is missing/),
      expect.stringMatching(/^PORT: is missing/),
    ]);
    expect(faults(() => configFromEnvironment({ ...env, PORT: "http", PROTOCOL: "icmp" }))).toEqual([
      expect.stringMatching(/^PORT: "http" is the wrong kind of value/),
    ]);
    expect(faults(() => configFromEnvironment({ ...env, PROTOCOL: "icmp" }))[0]).toMatch(
      /^PROTOCOL: "ICMP" is not a protocol/,
    );
  });
});
