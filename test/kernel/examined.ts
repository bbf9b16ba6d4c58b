import { execa } from "execa";
import { afterEach, beforeAll, beforeEach } from "vitest";
import type { Config } from "../../agent/config/config.ts";
import type { Finding } from "../../agent/finding.ts";
import { type Command, command } from "../../agent/netfilter/command.ts";
import type { Read } from "../../agent/netfilter/node.ts";
import { preflight } from "../../agent/doctor/preflight.ts";
import { config } from "../agent/state.ts";
import { ensurePackages } from "../support/debian.ts";
import { netlinkProgram } from "../support/netlink.ts";

export const magicIp = "169.254.210.210";
export const magicIp6 = "fd00:210::210";
export const name = `mipdoc${process.pid}x${process.env.VITEST_POOL_ID ?? ""}`;
export const inside = `--net=/run/netns/${name}`;

/** Runs a tool in the namespace that stands for the node. */
export const onNode: Command = (file, args, ...rest) => entering([], file, args, ...rest);

/** The same, behind the words of another program. */
export async function entering(words: string[], file: string, ...rest: Rest): Promise<string> {
  const [args, ...others] = rest;
  const place = file === "magic-ip-netlink" ? await netlinkProgram() : file;
  return command("nsenter", [inside, ...words, place, ...args], ...others);
}

type Rest = Parameters<Command> extends [string, ...infer Others] ? Others : never;

export const read: Read = async (path) => {
  // ip netns mounts the namespace's own /sys.
  const enter = path.startsWith("/sys/") ? ["ip", "netns", "exec", name] : ["nsenter", inside];
  const [tool = "", ...args] = [...enter, "cat", path];
  const { stdout, exitCode } = await execa(tool, args, {
    reject: false,
    stripFinalNewline: false,
  });
  return exitCode === 0 ? stdout : undefined;
};

/** What was made, to be taken away after each test. */
const namespaces: string[] = [];

export async function addNamespace(namespace: string): Promise<void> {
  await execa("ip", ["netns", "add", namespace]);
  namespaces.push(namespace);
}

export const sh = (script: string) => execa("nsenter", [inside, "sh", "-ec", script]);

/** A configuration of one address with the port 80 of TCP, and with these fields changed. */
export function wanted(changes: Partial<Config> = {}, ...ipAddresses: string[]): Config {
  const made = config();
  const addresses = made.addresses.map((address) => ({
    ...address,
    ipAddresses: ipAddresses.length === 0 ? [magicIp] : ipAddresses,
    ports: address.ports.slice(0, 1),
  }));
  return { ...made, addresses, ...changes };
}

export async function found(changed: Config = wanted(), by: Command = onNode): Promise<Finding[]> {
  return preflight(changed, by, read);
}

export const named = (findings: Finding[], code: string) =>
  findings.filter((finding) => finding.code === code);

/** A node with an uplink of both families, made anew for each test. */
export function examineNodes(): void {
  beforeAll(() => ensurePackages(["nftables", "conntrack", "iproute2", "iptables"]));

  beforeEach(async () => {
    await addNamespace(name);
    await sh(`
      ip link set lo up
      ip link add uplink type veth peer name outside
      ip address add 192.0.2.10/24 dev uplink
      ip address add fd00:192::10/64 dev uplink nodad
      ip link set uplink up
      ip link set outside up
      ip route add default via 192.0.2.1
      ip -6 route add default via fd00:192::1
      sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
      sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1`);
  });

  afterEach(async () => {
    for (const namespace of namespaces.splice(0)) await execa("ip", ["netns", "delete", namespace]);
  });
}

export async function load(ruleset: string): Promise<void> {
  await onNode("nft", ["-f", "-"], ruleset);
}

/** Connects to port 80 and says how that ended. */
export async function dial(ip: string, from = name): Promise<string> {
  const script = `const s = require("node:net").connect({ host: "${ip}", port: 80, timeout: 700 });
    const end = (how) => { console.log(how); process.exit(); };
    s.on("connect", () => end("connected")).on("timeout", () => end("timeout")).on("error", ({ code }) => end(code));`;
  return (await execa("nsenter", [`--net=/run/netns/${from}`, process.execPath, "-e", script])).stdout;
}

/** Two pods behind routed interfaces. */
export async function addPods(): Promise<void> {
  for (const [pod, net] of [
    ["a", "10.1.0"],
    ["b", "10.2.0"],
  ]) {
    await addNamespace(`${name}${pod}`);
    await sh(`ip link add v${pod} type veth peer name eth0 netns ${name}${pod}
      ip address add ${net}.1/24 dev v${pod}; ip link set v${pod} up`);
    const setup = `ip link set lo up; ip address add ${net}.2/24 dev eth0; ip link set eth0 up; ip route add default via ${net}.1`;
    await execa("nsenter", [`--net=/run/netns/${name}${pod}`, "sh", "-ec", setup]);
  }
}
