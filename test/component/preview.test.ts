import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it, vi } from "vitest";
import { MagicIpAddress, type MagicIpAddressArgs, MagicIpAddresses } from "../../index.ts";
import { chartFaults, render } from "../chart/render.ts";
import { chartOf, known, mockPulumi } from "./installation.ts";

const resources = await mockPulumi({ preview: true });
const log = vi.spyOn(pulumi.log, "info").mockResolvedValue();

const minimal: MagicIpAddressArgs = {
  ipAddress: "169.254.210.210",
  selector: "app=dd-agent",
  ports: [{ port: 8126 }],
};
const unknown = <T>() => pulumi.output(pulumi.unknown) as unknown as pulumi.Output<T>;
const install = (name: string, changes: object) => new MagicIpAddress(name, { ...minimal, ...changes });

describe("what is not known at preview", () => {
  it("is not held against the program, and the rest is told", async () => {
    const magicIp = install("rest", { selector: unknown(), agent: { image: unknown(), namespace: "infra" } });
    expect(await known(magicIp.ipAddress)).toBe("169.254.210.210");
    expect(await known(magicIp.endpoint)).toBe("169.254.210.210:8126");
    expect(await known(magicIp.environments)).toMatchObject({ datadog: {} });
    expect(await known(magicIp.daemonSetName)).toBe("rest");
    expect(await known(magicIp.namespace)).toBe("infra");
  });

  it("stays unknown in the outputs that it is a part of", async () => {
    const magicIp = install("unknown", { ports: [{ port: unknown() }], agent: { namespace: unknown() } });
    expect(await known(magicIp.endpoint)).toBeUndefined();
    expect(await known(magicIp.endpoints)).toBeUndefined();
    expect(await known(magicIp.environments)).toBeUndefined();
    expect(await known(magicIp.namespace)).toBeUndefined();
    expect((await chartOf(resources, "unknown")).namespace).toBe("known-after-up");
  });

  it("is named", async () => {
    install("named", { ipAddress: unknown(), ports: [{ port: unknown() }], values: { affinity: unknown() } });
    await chartOf(resources, "named");
    expect(log.mock.calls.map(([text]) => text)).toContain(
      "Not known before the update, so the preview shows something in its place or leaves it out: ipAddress, ports[0].port, values",
    );
  });

  it.each<[string, object]>([
    ["address", { ipAddress: unknown(), ipv6Address: unknown() }],
    ["selector", { selector: unknown(), namespace: unknown() }],
    [
      "port",
      {
        ports: [
          { port: unknown() },
          { port: unknown(), endPort: 90 },
          { port: 1, endPort: unknown() },
          unknown(),
        ],
      },
    ],
    ["port-settings", { ports: [{ port: 1, name: unknown(), targetPort: unknown(), protocol: unknown() }] }],
    ["ports", { ports: unknown() }],
    ["agent", { agent: unknown() }],
    [
      "settings",
      {
        agent: {
          image: unknown(),
          nodeSelector: { a: unknown() },
          imagePullSecrets: [unknown()],
          allowedCidrs: [unknown()],
          healthPort: unknown(),
          tolerations: [unknown()],
        },
      },
    ],
    [
      "update-strategy",
      {
        agent: {
          updateStrategy: { type: unknown(), maxUnavailable: unknown() },
          resources: { limits: unknown() },
        },
      },
    ],
    [
      "value",
      {
        values: {
          daemonSetAnnotations: { a: unknown() },
          tests: { tolerations: [unknown()] },
          nameOverride: unknown(),
        },
      },
    ],
    ["values", { values: unknown(), skipAwait: unknown() }],
  ])("is no %s that the chart cannot do without", async (name, changes) => {
    install(name, changes);
    const { values, skipAwait } = await chartOf(resources, name);
    expect(skipAwait ?? false).toBe(false);
    const kinds = (await render({ values: values })).map(({ kind }) => kind);
    expect(kinds).toEqual(expect.arrayContaining(["DaemonSet", "Role", "RoleBinding"]));
  });

  it("may be all addresses, or some of them", async () => {
    new MagicIpAddresses("all", { addresses: unknown() });
    new MagicIpAddresses("some", { addresses: [unknown(), { ...minimal, ipAddress: unknown() }, minimal] });
    for (const name of ["all", "some"]) {
      const { values } = await chartOf(resources, name);
      expect(await render({ values: values })).not.toEqual([]);
    }
  });

  const monitored = { values: { podMonitor: { enabled: true, assumeCrd: true } } };
  const ofBlock = { allowedCidrs: ["169.254.210.0/24"] };
  it.each<[string, object]>([
    ["an IP, beside blocks that it must lie in", { ipAddress: unknown(), agent: ofBlock }],
    [
      "a block, beside an IP of it",
      { ipAddress: "10.1.2.3", agent: { allowedCidrs: ["fd00::/8", unknown()] } },
    ],
    ["the metrics port, which a PodMonitor needs", { agent: { metricsPort: unknown() }, ...monitored }],
    ["the agent, of which a PodMonitor needs the metrics port", { agent: unknown(), ...monitored }],
    ["the metrics port, beside a health port", { agent: { metricsPort: unknown(), healthPort: 9091 } }],
    ["the health port, beside a metrics port", { agent: { healthPort: unknown(), metricsPort: 61000 } }],
    ["a port, beside the last one", { ports: [{ port: unknown() }, { port: 65535 }] }],
    [
      "a port, beside a range to the last one",
      { ports: [{ port: 60000, endPort: 65535 }, { port: unknown() }] },
    ],
    ["a protocol, beside TCP", { ports: [{ port: 53 }, { port: 53, protocol: unknown() }] }],
    [
      "the only free protocol",
      { ports: [{ port: 1, protocol: unknown() }, { port: 1 }, { port: 1, protocol: "UDP" }] },
    ],
    [
      "a port of UDP, beside all of TCP",
      {
        ports: [
          { port: 1, endPort: 65535 },
          { port: unknown(), protocol: "UDP" },
        ],
      },
    ],
  ])("is no refusal at preview that `pulumi up` does not have: %s (N9, N10, N11)", async (what, changes) => {
    const name = what.replace(/\W+/g, "-").toLowerCase().slice(0, 49);
    install(name, changes);
    const { values } = await chartOf(resources, name);
    expect(await chartFaults({ values })).toEqual([]);
  });

  it("is no refusal either where the stand-in's address is written (N10)", async () => {
    const later = () => ({ ...minimal, ipAddress: unknown<string>() });
    const fixed = { ...minimal, ipAddress: "198.18.0.0", ipv6Address: "fd00::1" };
    new MagicIpAddresses("taken", {
      addresses: [later(), later(), fixed, { ...fixed, ipAddress: "198.18.0.2", ipv6Address: undefined }],
    });
    const { values } = await chartOf(resources, "taken");
    expect(await chartFaults({ values })).toEqual([]);
  });

  it("names the blocks that the preview's chart does not hold against the addresses (N9)", async () => {
    log.mockClear();
    install("blocks", { ipAddress: unknown(), agent: ofBlock });
    expect(
      ((await chartOf(resources, "blocks")).values as { allowedCidrs?: unknown }).allowedCidrs,
    ).toBeUndefined();
    expect(log.mock.calls.map(([text]) => text)).toContainEqual(
      expect.stringContaining("leaves it out: ipAddress, agent.allowedCidrs"),
    );
  });

  it("does not hide what is known and wrong", () => {
    const changes = { ipAddress: unknown(), ports: [{ port: 0 }] };
    expect(() => install("dd-agent", changes)).toThrow(
      'MagicIpAddress "dd-agent" cannot be installed, one argument is wrong:\n' +
        "  ports[0].port: 0 is not a port: write a whole number from 1 to 65535",
    );
  });
});

describe("what is doubtful and no fault", () => {
  const warn = vi.spyOn(pulumi.log, "warn").mockResolvedValue();
  const warnings = () => warn.mock.calls.map(([text]) => text);

  it("is told with its path: public addresses, and usual ones of Services (P4)", async () => {
    install("public", { ipAddress: "8.8.8.8" });
    new MagicIpAddresses("services", { addresses: [minimal, { ...minimal, ipAddress: "10.96.3.4" }] });
    await Promise.all([chartOf(resources, "public"), chartOf(resources, "services")]);
    expect(warnings()).toEqual([
      "ipAddress: 8.8.8.8 is a public address, and no pod reaches the host on the internet any more that has it: choose a link-local or unique local address, as 169.254.210.210 or fd00:210::210",
      "addresses[1].ipAddress: 10.96.3.4 lies in the usual range of Services, 10.96.0.0/12 of kubeadm and kind, and a Service may get it: choose a link-local or unique local address, as 169.254.210.210 or fd00:210::210",
    ]);
  });

  it("is told without a secret", async () => {
    warn.mockClear();
    install("secret", { ipAddress: pulumi.secret("8.8.4.4") });
    await chartOf(resources, "secret");
    expect(warnings()).toEqual([expect.stringMatching(/^ipAddress: \[secret\] is a public address/)]);
  });
});

describe("without an engine", () => {
  it("one debug line says that components are not compared", async () => {
    const debug = vi.spyOn(pulumi.log, "debug").mockResolvedValue();
    vi.resetModules();
    const fresh = await import("../../index.ts");
    new fresh.MagicIpAddress("one", minimal);
    new fresh.MagicIpAddress("two", minimal);
    const lines = debug.mock.calls.map(([text]) => text).filter((text) => text.includes("not compared"));
    expect(lines).toEqual([
      "There is no Pulumi engine, as in unit tests with mocks: components are not compared with each other, nor with the stack's state",
    ]);
  });
});
