import { oneAddress } from "./render.ts";

/** Values that somebody may have written. */
export interface Written {
  title: string;
  values: Values;
  /** How the component would be told the same, where that is not plain. */
  agent?: object;
}

export interface Values {
  addresses?: object[];
  [name: string]: unknown;
}

const written = ([title, values, agent]: [string, object, object?]): Written => ({
  ...{ title, values: values as Values },
  ...(agent && { agent }),
});
const ip = (title: string, ipAddress: string) => written([title, oneAddress({ ipAddress })]);
const port = (title: string, ...ports: object[]) => written([title, oneAddress({ ports })]);
const selector = (title: string, text: string) => written([title, oneAddress({ selector: text })]);
const cidr = (title: string, text: string) => written([title, oneAddress({}, { allowedCidrs: [text] })]);
const set = (title: string, values: object, agent?: object) =>
  written([title, oneAddress({}, values), agent]);
const two = (title: string, first: object, second: object) => {
  const addresses = [first, second].map((each) => ({
    selector: "a=b",
    ipAddress: "169.254.210.210",
    ...each,
  }));
  return written([title, { addresses }]);
};
const of8126 = { ports: [{ port: 8126 }] };

/** Mistakes in what the agent is told: it, the component and the chart must say the same of each. */
export const mistakes: Written[] = [
  ip("AWS's, Google's and Azure's metadata", "169.254.169.254"),
  ip("Azure's platform service", "168.63.129.16"),
  ip("NodeLocal DNSCache", "169.254.20.10"),
  ip("the last of a reserved /24", "169.254.255.255"),
  ip("loopback", "127.0.0.1"),
  ip("the last of loopback", "127.255.255.255"),
  ip("no address", "0.0.0.0"),
  ip("multicast", "224.0.0.1"),
  ip("broadcast", "255.255.255.255"),
  ip("an octet of 256", "169.254.210.256"),
  ip("three octets", "10.1.2"),
  ip("five octets", "10.1.2.3.4"),
  ip("a leading zero", "169.254.010.1"),
  ip("a host name", "localhost"),
  ip("nothing", ""),
  ip("an IPv4 address with a port", "169.254.210.210:8126"),
  ip("a block", "169.254.210.0/24"),
  ip("Amazon's IPv6 metadata, in another spelling", "FD00:0EC2:0:0::254"),
  ip("IPv6 loopback, written out", "0:0:0:0:0:0:0:1"),
  ip("IPv4 in IPv6", "::ffff:169.254.210.210"),
  ip("IPv4 in IPv6, in groups", "::FFFF:a9fe:d2d2"),
  ip("link-local IPv6", "fe80::1"),
  ip("link-local IPv6 with a zone", "fe80::1%eth0"),
  ip("multicast IPv6", "ff02::1"),
  ip("g in an IPv6 address", "fd00::g"),
  ip("two gaps", "fd00::1::2"),
  ip("three colons", "fd00:::1"),
  ip("nine groups", "fd00:1:2:3:4:5:6:7:8"),
  ip("seven groups", "fd00:1:2:3:4:5:6"),
  ip("a gap that is none", "fd00:1:2:3::4:5:6:7"),
  ip("dots that are no IPv4 address", "fd00::10.1.2.256"),
  ip("dots in the middle", "fd00::10.1.2.3:1"),
  ip("square brackets", "[fd00:210::1]"),
  written(["an IPv4 address as the second", oneAddress({ ipv6Address: "10.1.2.3" })]),
  written([
    "two IPv6 addresses in one",
    oneAddress({ ipAddress: "FD00:210::1", ipv6Address: "fd00:210::2" }),
  ]),
  written(["a reserved second address", oneAddress({ ipv6Address: "::1" })]),
  cidr("a block without bits", "10.0.0.0"),
  cidr("an IPv6 block without bits", "fd00::"),
  cidr("33 bits", "10.0.0.0/33"),
  cidr("129 bits", "fd00::/129"),
  cidr("bits with a zero before them", "10.0.0.0/08"),
  cidr("an address that is not the first of its block", "169.254.210.210/17"),
  cidr("an IPv6 address that is not the first of its block", "fd00:0:0:ff::1/57"),
  cidr("a block that is a word", "private"),
  cidr("two slashes", "10.0.0.0/8/8"),
  cidr("an address in none of the blocks", "169.254.211.0/24"),
  written([
    "two blocks, neither with the address",
    oneAddress({ ipAddress: "fd01::1" }, { allowedCidrs: ["10.0.0.0/8", "fd00::/16"] }),
  ]),
  selector("an empty selector", " "),
  selector("a parenthesis that is not closed", "app in x ("),
  selector("two words", "app dd-agent"),
  selector("nothing between two commas", "app=a,,tier=b"),
  selector("a comma at the end", "app in (a,b),"),
  selector("a key with two slashes", "a/b/c=d"),
  selector("a key with a prefix in capitals", "Example.com/app=d"),
  selector("a value with a space at its end inside quotes", 'app="dd-agent"'),
  selector("a value that ends in a dash", "tier=a,app in (a, b-)"),
  selector("a value of 64 letters", `app=${"a".repeat(64)}`),
  selector("a value that is to be more than a number (N2)", "app=a,tier>5"),
  selector("a value that is to be less than a number (N2)", "tier < 5"),
  selector("a no-break space after a value (N3)", "app=a\u00a0"),
  selector("a vertical tab before a value (N3)", "app=\u000ba"),
  selector("a no-break space in a list (N3)", "app in (\u00a0a)"),
  selector("a mark of byte order before a key (N3)", "\ufeffapp=a"),
  selector("not and a value", "!app=a"),
  selector("a key of no letters in a set", "-x notin (a)"),
  written(["a namespace in capitals", oneAddress({ namespace: "Monitoring" })]),
  written(["a namespace with a dot", oneAddress({ namespace: "a.b" })]),
  written(["a namespace of 64 letters", oneAddress({ namespace: "a".repeat(64) })]),
  written(["an empty namespace", oneAddress({ namespace: "" })]),
  written(["whenNoTarget in small letters", oneAddress({ whenNoTarget: "drop" })]),
  port("port 0", { port: 0 }),
  port("port 65536", { port: 65536 }),
  port("a negative port", { port: -1 }),
  port("a port and a half", { port: 1.5 }),
  port("a port of ten digits", { port: 4294967297 }),
  port("end port 65536", { port: 1, endPort: 65536 }),
  port("a range that ends before it begins", { port: 80, endPort: 79 }),
  port("a range with a target port", { port: 80, endPort: 90, targetPort: 8080 }),
  port("a range with a named target port", { port: 80, endPort: 90, targetPort: "http" }),
  port("target port 0", { port: 1, targetPort: 0 }),
  port("a target port in quotes", { port: 1, targetPort: "80" }),
  port("a protocol in small letters", { port: 1, protocol: "udp" }),
  port("another protocol", { port: 1, protocol: "ICMP" }),
  port("a port name of 16 letters", { port: 1, name: "a".repeat(16) }),
  port("a port name without a letter", { port: 1, name: "1-2" }),
  port("two ports of one name", { port: 1, name: "apm" }, { port: 2, name: "apm" }),
  port("a port twice", { port: 53 }, { port: 53 }),
  port("a port in a range", { port: 50, endPort: 60 }, { port: 53 }),
  port("a range over a port", { port: 53 }, { port: 70 }, { port: 50, endPort: 60 }),
  port("two ranges that meet", { port: 50, endPort: 60 }, { port: 60, endPort: 70 }),
  two("one port of one IP in two addresses", of8126, of8126),
  two(
    "one IPv6 address in two spellings",
    { ipAddress: "fd00:210::1", ...of8126 },
    { ipAddress: "FD00:0210:0::1", ...of8126 },
  ),
  two(
    "the second IP of one, the first of another",
    { ipv6Address: "fd00:210::1", ...of8126 },
    { ipAddress: "fd00:210::0.0.0.1", ...of8126 },
  ),
  two("one whole IP in two addresses", {}, { ports: [] }),
  written(["an empty list of addresses", { addresses: [] }]),
  written([
    "mistakes in three addresses, and in a block",
    {
      allowedCidrs: ["10.0.0.0"],
      addresses: [
        {
          ipAddress: "169.254.169.254",
          selector: "a b",
          namespace: "A",
          ports: [{ port: 0, protocol: "tcp" }],
        },
        { ipAddress: "10.1.2.3", selector: "a=b", ports: [{ port: 1 }, { port: 1 }] },
        { ipAddress: "10.1.2.3", selector: "", ports: [{ port: 1, targetPort: "-" }] },
      ],
    },
  ]),
];

/** Mistakes of which the component has words of its own: the paths must be the same, and the agent's words. */
export const mistakesOfSettings: Written[] = [
  set("health port 0", { healthPort: 0 }),
  set("health port 70000", { healthPort: 70000 }),
  set("a metrics port and a half", { metricsPort: 1.5 }),
  set("a poll interval of 0", { pollInterval: 0 }),
  set("a poll interval of more than a day", { pollInterval: 86401 }),
  set("one port for health and metrics", { healthPort: 61500, metricsPort: 61500 }),
  set("a backend of kube-proxy's", { backend: "ipvs" }),
  set("another way to masquerade", { masquerade: "never" }),
  written(["an address without an IP", { addresses: [{ selector: "a=b" }] }]),
  written(["an address that is empty, alone (N1)", { addresses: [{}] }]),
  written([
    "an address that is empty, beside another (N1)",
    { addresses: [...((oneAddress() as Values).addresses ?? []), {}] },
  ]),
  written(["an address without a selector", { addresses: [{ ipAddress: "169.254.210.210" }] }]),
  port("a port without its number", { name: "apm" }),
];

/** Mistakes that the agent never hears of: the component's words. */
export const mistakesOfRollout: Written[] = [
  set("another pull policy", { image: { pullPolicy: "Sometimes" } }, { imagePullPolicy: "Sometimes" }),
  set(
    "another update strategy",
    { updateStrategy: { type: "Recreate" } },
    { updateStrategy: { type: "Recreate" } },
  ),
  set(
    "a share of no nodes",
    { updateStrategy: { rollingUpdate: { maxUnavailable: "0%" } } },
    { updateStrategy: { maxUnavailable: "0%" } },
  ),
  set(
    "a share of more than all nodes",
    { updateStrategy: { rollingUpdate: { maxUnavailable: "101%" } } },
    { updateStrategy: { maxUnavailable: "101%" } },
  ),
];
