import { describe, expect, it } from "vitest";
import { addressFaults, type PortSpec } from "../../component/address/address.ts";
import type { AddressSpec } from "../../component/address/spec.ts";

const ip = "169.254.210.210";
const ipv6 = "fd00:210::210";
const right: AddressSpec = { ipAddress: ip, selector: "app=x", ports: [{ port: 80 }] };

const faults = (addresses: Partial<AddressSpec>[], allowedCidrs?: string[]) =>
  addressFaults(
    addresses.map((changes) => ({ ...right, ...changes })),
    allowedCidrs,
  ).map(({ path, reason }) => `${path}: ${reason}`);

const portFaults = (...ports: PortSpec[]) => faults([{ ports }]);

describe("a magic IP", () => {
  it.each([
    { ipAddress: ipv6 },
    { ipv6Address: ipv6 },
    { ipAddress: "FD00:0210:0::210" },
    { ipAddress: "2001:db8::1" },
  ])("may be %j", (changes) => {
    expect(faults([changes])).toEqual([]);
  });

  it.each<[Partial<AddressSpec>, string]>([
    [
      { ipAddress: "fd00::g" },
      'ipAddress: "fd00::g" is not an IPv6 address: write up to eight groups of hexadecimal digits, as fd00:210::210',
    ],
    [
      { ipAddress: "fd00::1%eth0" },
      'ipAddress: "fd00::1%eth0" is not an IPv6 address: write up to eight groups of hexadecimal digits without a zone, as fd00:210::210',
    ],
    [
      { ipAddress: "fe80::1" },
      "ipAddress: fe80::1 is reserved for link-local traffic, which needs a zone and is never forwarded: choose another, as fd00:210::210",
    ],
    [
      { ipv6Address: "fd00:ec2::254" },
      "ipv6Address: fd00:ec2::254 is reserved for Amazon's instance metadata service: choose another, as fd00:210::210",
    ],
    [
      { ipv6Address: "10.1.2.3" },
      'ipv6Address: "10.1.2.3" is not an IPv6 address: write up to eight groups of hexadecimal digits, as fd00:210::210',
    ],
    [
      { ipAddress: ipv6, ipv6Address: "fd00:210::211" },
      "ipv6Address: fd00:210::211 is set beside ipAddress fd00:210::210, which is an IPv6 address already: leave one of them out, or write an IPv4 address there",
    ],
    [
      { whenNoTarget: "reject" },
      'whenNoTarget: "reject" is no answer to clients: write Reject, Drop or Pass',
    ],
  ])("%j is refused with a reason", (changes, fault) => {
    expect(faults([changes])).toEqual([`addresses[0].${fault}`]);
  });
});

describe("the blocks that magic IPs must lie in", () => {
  it("allow what lies in one of them, each family by itself, and everything when there are none", () => {
    expect(faults([{ ipv6Address: ipv6 }], ["10.0.0.0/8", "169.254.0.0/16", "fd00:210::/32"])).toEqual([]);
    expect(faults([{ ipv6Address: ipv6 }], [])).toEqual([]);
  });

  it("refuse what lies outside, also a second IP of a family that none of them has", () => {
    expect(faults([{ ipv6Address: ipv6 }, { ipAddress: "10.1.2.3" }], ["169.254.0.0/16"])).toEqual([
      "addresses[0].ipv6Address: fd00:210::210 is in none of the allowedCidrs: choose an address in 169.254.0.0/16",
      "addresses[1].ipAddress: 10.1.2.3 is in none of the allowedCidrs: choose an address in 169.254.0.0/16",
    ]);
  });

  it("are told when they are none, and then hold nothing against an address", () => {
    expect(faults([{}], ["10.0.0.0/8", "10.1.0.0"])).toEqual([
      'allowedCidrs[1]: "10.1.0.0" is not a CIDR: write address/bits, as 10.1.0.0/32 for this address only',
    ]);
  });
});

describe("a range of ports", () => {
  it.each<[PortSpec]>([
    [{ port: 8000, endPort: 8010, protocol: "SCTP" }],
    [{ port: 8000, endPort: 8000 }],
    [{ port: 1, endPort: 65535 }],
  ])("may be %j", (port) => {
    expect(portFaults(port)).toEqual([]);
  });

  it.each<[PortSpec, string]>([
    [
      { port: 80, endPort: 79 },
      "endPort: 79 is less than port 80: write the last port of the range, 80 to 65535",
    ],
    [{ port: 80, endPort: 65536 }, "endPort: 65536 is not a port: write a whole number from 1 to 65535"],
    [{ port: 80, endPort: 80.5 }, "endPort: 80.5 is not a port: write a whole number from 1 to 65535"],
    [
      { port: 80, endPort: 90, targetPort: 8080 },
      "targetPort: 8080 is set beside endPort 90: a range keeps its port numbers, so leave the target port out",
    ],
    [
      { port: 80, endPort: 90, targetPort: "http" },
      'targetPort: "http" is set beside endPort 90: a range keeps its port numbers, so leave the target port out',
    ],
  ])("%j is refused with a reason", (port, fault) => {
    expect(portFaults(port)).toEqual([`addresses[0].ports[0].${fault}`]);
  });
});

describe("two claims of one port", () => {
  const taken = (claim: string, by: string) =>
    `addresses[0].ports[1].port: 169.254.210.210:${claim} is taken by addresses[0].ports[0].port${by}: a port can lead to one target only`;

  it.each<[PortSpec, PortSpec, string]>([
    [{ port: 80 }, { port: 80, protocol: "TCP" }, taken("80/TCP", "")],
    [{ port: 80, endPort: 90 }, { port: 85 }, taken("85/TCP", " (80-90)")],
    [{ port: 85 }, { port: 80, endPort: 90 }, taken("80-90/TCP", " (85)")],
    [{ port: 80, endPort: 90 }, { port: 90, endPort: 99 }, taken("90-99/TCP", " (80-90)")],
    [{ port: 90, endPort: 99 }, { port: 80, endPort: 90 }, taken("80-90/TCP", " (90-99)")],
    [{ port: 80, endPort: 90 }, { port: 80, endPort: 90 }, taken("80-90/TCP", "")],
  ])("%j, then %j", (first, second, fault) => {
    expect(portFaults(first, second)).toEqual([fault]);
  });

  it.each<[PortSpec, PortSpec]>([
    [{ port: 80, endPort: 89 }, { port: 90 }],
    [
      { port: 80, endPort: 90 },
      { port: 80, endPort: 90, protocol: "UDP" },
    ],
    [{ port: 0 }, { port: 0 }],
  ])("are not %j and %j", (first, second) => {
    expect(portFaults(first, second).filter((fault) => fault.includes("taken"))).toEqual([]);
  });

  it("are found among addresses, whatever the spelling, and by either IP", () => {
    const second = { ipAddress: "FD00:210:0:0::210" };
    expect(faults([{ ipv6Address: ipv6 }, second])).toEqual([
      "addresses[1].ports[0].port: [fd00:210::210]:80/TCP is taken by addresses[0].ports[0].port: a port can lead to one target only",
    ]);
    expect(faults([{ ipv6Address: ipv6 }, { ipAddress: "10.1.2.3", ipv6Address: ipv6 }])).toHaveLength(1);
  });

  it("are found where the IP itself is wrong too", () => {
    const ports = [{ port: 80 }, { port: 80 }];
    expect(faults([{ ipAddress: "x", ports }])).toContain(
      "addresses[0].ports[1].port: 80/TCP is taken by addresses[0].ports[0].port: a port can lead to one target only",
    );
  });
});

describe("a whole IP", () => {
  it.each([{ ports: undefined }, { ports: [] }])("is an address with %j", (whole) => {
    expect(faults([whole, {}, { ports: [{ port: 81, endPort: 99 }] }])).toEqual([]);
  });

  it("is one address's only, by either IP", () => {
    const whole = { ports: [], ipv6Address: ipv6 };
    const reason = (text: string, field: string) =>
      `${text} is taken by addresses[0].${field}, which has no ports either: list the ports of one of them, or choose another address`;
    expect(faults([whole, whole])).toEqual([
      `addresses[1].ipAddress: ${reason(ip, "ipAddress")}`,
      `addresses[1].ipv6Address: ${reason(ipv6, "ipv6Address")}`,
    ]);
  });
});

describe("overlaps", () => {
  /** Whether any two of the ports overlap, by comparing each with each. */
  const anyOverlap = (ports: Required<Pick<PortSpec, "port" | "endPort">>[]) =>
    ports.some((a, i) => ports.some((b, j) => i < j && a.port <= b.endPort && b.port <= a.endPort));

  it("are found exactly where each is compared with each", () => {
    const seen = new Set<boolean>();
    for (let seed = 1; seed <= 2000; seed++) {
      const ports = Array.from({ length: 6 }, (_, index) => {
        const port = 1 + ((Math.imul(seed * 7 + index, 2654435761) >>> 20) % 60);
        return { port, endPort: port + ((seed * (index + 3)) % 7) };
      });
      const expected = anyOverlap(ports);
      seen.add(expected);
      expect([ports, portFaults(...ports).length > 0]).toEqual([ports, expected]);
    }
    expect(seen).toEqual(new Set([true, false]));
  });
});
