import { expect, it } from "vitest";
import { ConfigError, parseConfig } from "../../agent/config/config.ts";
import { randomOf } from "../support/random.ts";
import { chartFaults } from "./render.ts";

const seed = Number(process.env.SEED ?? 1);
const random = randomOf(seed);
const below = (bound: number) => Math.floor(random() * bound);
const one = <T>(of: readonly T[]): T => of[below(of.length)] as T;
const some = (most: number, make: () => string, separator: string) =>
  Array.from({ length: below(most + 1) }, make).join(separator);

const octet = () => one([() => `${below(256)}`, () => `${below(300)}`, () => `0${below(10)}`, () => "255"])();
const ipv4 = () =>
  one([
    `169.254.${below(256)}.${below(256)}`,
    Array.from({ length: 4 }, octet).join("."),
    some(5, octet, "."),
  ]);
const group = () =>
  one([() => "0", () => below(65536).toString(16), () => "0000", () => "FFFF", () => "12345", () => ""])();
const ipv6 = () =>
  one([
    `fd00:${below(3)}::${below(3)}`,
    `FD00:000${below(3)}:0:0::${below(3)}`,
    Array.from({ length: 8 }, () => one(["0", "0", "1", "a0"])).join(":"),
    `${some(4, group, ":")}::${some(4, group, ":")}`,
    `::${one(["", "ffff:", "64:ff9b:"])}${ipv4()}`,
    `fe80::${below(9)}%eth0`,
    some(9, group, ":"),
  ]);
const anyIp = () => one([ipv4, ipv6])();

const word = () =>
  one(["app", "tier", "a.b/c", "A/b", "x_y", "-a", "b-", "a".repeat(64), "ä", "", "in", "!a", "a b"]);
const requirement = () =>
  one([
    () => word(),
    () => `${word()}${one(["=", "==", "!=", " = ", "==", ">", "\u00a0=", "=\u00a0", "\t=\u000b"])}${word()}`,
    () => `${word()} ${one(["in", "notin", "In"])} (${some(3, word, ",")}${one([")", ")", ""])}`,
    () => `!${one(["", "", " ", "\u00a0"])}${word()}`,
  ])();
const selector = () => some(3, requirement, one([",", ", ", ",,"]));

const portNumber = () => one([() => below(20), () => below(70000), () => below(3) - 1, () => 8126.5])();
const name = () => one(["apm", "a-b", "1", "1a", "A", "a--b", "", "b".repeat(16), `p${below(9)}`]);
const port = () => ({
  port: portNumber(),
  ...(random() < 0.3 && { endPort: portNumber() }),
  ...(random() < 0.2 && { targetPort: one<number | string>([portNumber(), name()]) }),
  ...(random() < 0.4 && { protocol: one(["TCP", "UDP", "SCTP", "udp"]) }),
  ...(random() < 0.3 && { name: name() }),
});
const address = () => ({
  ipAddress: anyIp(),
  selector: one([selector, () => "app=a"])(),
  ...(random() < 0.3 && { ipv6Address: anyIp() }),
  ...(random() < 0.2 && { namespace: name() }),
  ...(random() < 0.1 && { whenNoTarget: one(["Drop", "drop"]) }),
  ports: Array.from({ length: below(5) }, port),
});
const block = () => `${anyIp()}/${one([8, 16, 17, 24, 33, 64, 127, 128, 129])}`;

/** All with blocks that are right, so that addresses are held against them, and all with some that may be anything. */
const rightBlocks = ["169.254.0.0/16", "fd00::/63", "fd00:1::/33", "10.0.0.0/7"];
const configurations = [rightBlocks, Array.from({ length: 60 }, block), []].map((allowedCidrs) => ({
  allowedCidrs,
  addresses: Array.from({ length: 150 }, address),
}));

it.each(configurations)(
  `Helm says the same as the agent of 150 addresses made at random with SEED=${seed} (blocks: $allowedCidrs.length)`,
  async (values) => {
    const agent = await Promise.resolve(JSON.stringify(values))
      .then((text) => parseConfig(text))
      .then(
        () => [],
        (error: unknown) => {
          if (!(error instanceof ConfigError)) throw error;
          return error.faults.map(({ path, reason }) => `${path}: ${reason}`);
        },
      );
    expect(agent.length).toBeGreaterThan(100);
    expect((await chartFaults({ values })).sort()).toEqual(agent.sort());
  },
);
