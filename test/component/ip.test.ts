import { isIPv4, isIPv6 } from "node:net";
import { describe, expect, it } from "vitest";
import { cidrComplaint, cidrContains, parseCidr } from "../../component/address/cidr.ts";
import { canonicalIp, type Ip, parseIp } from "../../component/address/ip.ts";
import { formatIpv4, parseIpv4 } from "../../component/address/ipv4.ts";
import { formatIpv6, parseIpv6 } from "../../component/address/ipv6.ts";
import { reservedFor } from "../../component/address/reserved.ts";

/** Numbers from 0 to below 1 that are the same for the same seed. */
function randomness(seed: number): () => number {
  let state = seed;
  return () => {
    // Numerical Recipes' linear congruential generator.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function ip(text: string): Ip {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`the test has a wrong IP: ${text}`);
  return parsed;
}

describe("an IPv6 address", () => {
  // RFC 5952 §4 and §5, and the examples of §1 and §2.
  it.each([
    ["2001:0db8::0001", "2001:db8::1"],
    ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:DB8::AAAA", "2001:db8::aaaa"],
    ["2001:db8:0:0:1:0:0:0", "2001:db8:0:0:1::"],
    ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["fd00::", "fd00::"],
    ["fd00::10.1.2.3", "fd00::a01:203"],
    ["::ffff:c000:0201", "::ffff:192.0.2.1"],
  ])("%s has one text: %s", (text, canonical) => {
    expect(canonicalIp(text)).toBe(canonical);
    expect(canonicalIp(canonical)).toBe(canonical);
  });

  it.each([
    ...[
      "",
      ":",
      ":::",
      "1",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1::2::3",
      "1:2:3:4:5:6:7:8::",
      ":1::2",
      "1::2:",
    ],
    ...[
      "12345::",
      "g::",
      "fe80::1%eth0",
      "[::1]",
      " ::1",
      "::1 ",
      "::1/128",
      "::1.2.3",
      "::1.2.3.256",
      "::01.2.3.4",
    ],
    ...["1.2.3.4::", "1:2:3:4:5:6:7:1.2.3.4", "1.2.3.4", "0x1::", "-1::", "::１"],
  ])("%j is none", (text) => {
    expect(parseIpv6(text)).toBeUndefined();
    expect(isIPv6(text.replace(/%.*/, "%"))).toBe(false);
  });

  it("is read and written as Node.js does, for 5,000 addresses with runs of zeros", () => {
    const random = randomness(4);
    for (let round = 0; round < 5000; round++) {
      const groups = Array.from({ length: 8 }, () =>
        random() < 0.5 ? 0 : Math.floor(random() * 0x10000) >> (random() < 0.5 ? 8 : 0),
      );
      const text = groups.map((group) => group.toString(16).padStart(4, "0")).join(":");
      const canonical = new URL(`http://[${text}]`).hostname.slice(1, -1);
      const value = parseIpv6(text);
      expect(value && formatIpv6(value)).toBe(value && canonical);
      expect(parseIpv6(canonical)).toBe(value);
    }
  });

  it("is what Node.js takes for one, for 20,000 texts that look like one", () => {
    const random = randomness(5);
    for (let round = 0; round < 20000; round++) {
      const length = 1 + Math.floor(random() * 9);
      const text = Array.from(
        { length },
        () => ["", "", "0", "f00d", "1.2.3.4", "12345"][Math.floor(random() * 6)],
      ).join(":");
      expect([text, parseIpv6(text) !== undefined]).toEqual([text, isIPv6(text)]);
    }
  });
});

describe("an IPv4 address", () => {
  it.each(["0.0.0.0", "169.254.210.210", "255.255.255.255"])("%s is read and written", (text) => {
    expect(isIPv4(text)).toBe(true);
    expect(formatIpv4(parseIpv4(text) ?? -1)).toBe(text);
  });

  it.each(["1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.", "1.2.3.0x4", "::1", ""])(
    "%j is none",
    (text) => {
      expect(parseIpv4(text)).toBeUndefined();
    },
  );
});

describe("a block of addresses", () => {
  it.each([
    ["169.254.0.0/16", "169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"],
    ["10.1.2.3/32", "10.1.2.3", "10.1.2.3", "10.1.2.2", "10.1.2.4"],
    ["128.0.0.0/1", "128.0.0.0", "255.255.255.255", "127.255.255.255", "::8000:0"],
    ["fd00::/8", "fd00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fcff::", "fe00::"],
    ["fd00:210::/127", "fd00:210::", "fd00:210::1", "fd00:20f:ffff::", "fd00:210::2"],
    ["::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0.0.0.0", "10.1.2.3"],
    ["0.0.0.0/0", "0.0.0.0", "255.255.255.255", "::", "::ffff:10.1.2.3"],
  ])("%s begins with %s and ends with %s", (text, first, last, before, after) => {
    const block = parseCidr(text);
    if (block === undefined) throw new Error(`${text} is no block`);
    const isInside = [first, last, before, after].map((each) => cidrContains(block, ip(each)));
    expect(isInside).toEqual([true, true, false, false]);
    expect(cidrComplaint(text)).toBeUndefined();
  });

  it.each([
    ["10.0.0.0", '"10.0.0.0" is not a CIDR: write address/bits, as 10.0.0.0/32 for this address only'],
    ["fd00::1", '"fd00::1" is not a CIDR: write address/bits, as fd00::1/128 for this address only'],
    ["10.0.0.0/33", '"10.0.0.0/33" is not a CIDR: write address/bits, as 169.254.210.0/24 or fd00:210::/32'],
    ["fd00::/129", '"fd00::/129" is not a CIDR: write address/bits, as 169.254.210.0/24 or fd00:210::/32'],
    [
      "10.0.0.0/8/8",
      '"10.0.0.0/8/8" is not a CIDR: write address/bits, as 169.254.210.0/24 or fd00:210::/32',
    ],
    ["10.0.0.0/08", '"10.0.0.0/08" is not a CIDR: write address/bits, as 169.254.210.0/24 or fd00:210::/32'],
    ["10.0.0.0/255.0.0.0", expect.stringContaining("is not a CIDR")],
    ["", '"" is not a CIDR: write address/bits, as 169.254.210.0/24 or fd00:210::/32'],
    ["10.1.2.3/8", '"10.1.2.3/8" is not the first address of its block: write 10.0.0.0/8'],
    ["fd12:3456::/8", '"fd12:3456::/8" is not the first address of its block: write fd00::/8'],
  ])("%j is none, and its fault says what would be right", (text, complaint) => {
    expect(parseCidr(text)).toBeUndefined();
    expect(cidrComplaint(text)).toEqual(complaint);
  });
});

describe("an address that somebody else has", () => {
  it.each([
    ["fe80::1", "link-local traffic, which needs a zone and is never forwarded"],
    ["febf::1", "link-local traffic, which needs a zone and is never forwarded"],
    ["::", '"no address"'],
    ["::1", "loopback: every pod has its own"],
    ["ff02::1", "multicast"],
    ["::ffff:10.1.2.3", "IPv4 addresses in IPv6 sockets (write the IPv4 address itself)"],
    ["fc00::1", "the half of the unique local addresses that RFC 4193 leaves undefined"],
    ["fd00:ec2::23", "the EKS Pod Identity Agent"],
    ["fd00:ec2::254", "Amazon's instance metadata service"],
    ["fd00:ec2::253", "Amazon's DNS resolver"],
    ["fd00:ec2::123", "Amazon's time server"],
    ["fd20:ce::254", "Google Cloud's instance metadata server"],
    ["64:ff9b::a01:203", "NAT64"],
    ["169.254.170.23", "the EKS Pod Identity Agent"],
  ])("%s belongs to %s", (text, owner) => {
    expect(reservedFor(ip(text))).toBe(owner);
  });

  it.each(["fd00::1", "fd00:ec2::2", "fdff::1", "2001:db8::1", "2a00::1", "169.254.210.210", "10.1.2.3"])(
    "%s is free",
    (text) => {
      expect(reservedFor(ip(text))).toBeUndefined();
    },
  );
});
