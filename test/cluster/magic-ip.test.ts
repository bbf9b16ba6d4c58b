import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { MagicIpAddresses } from "../../component/index.ts";
import manifest from "../../package.json" with { type: "json" };
import { pulumiCli } from "../pulumi/engine.ts";
import type { OperationFailed } from "../pulumi/outcome.ts";
import { openStack, type Stack } from "../pulumi/stack.ts";
import { isLong } from "../support/long.ts";
import { say } from "../support/progress.ts";
import { BASE_IMAGE, baseImage } from "../support/rootfs.ts";
import { helmPath } from "../support/tools.ts";
import { collectorImage } from "../telemetry/collector.ts";
import { type Call, type Caller, callers, callFrom } from "./callers.ts";
import { type Calling, callFromNode, keepCalling } from "./calling.ts";
import { attach, type Cluster, type ClusterNode, down, up } from "./cluster.ts";
import { configurationTests } from "./configuration.ts";
import { distribution } from "./distribution.ts";
import { agentImage } from "../image/agent-image.ts";
import { PodEvents } from "./pod-events.ts";
import { telemetryTests } from "./telemetry.ts";
import { clientDaemonSet, echoDaemonSet, type Manifest, programs } from "./workloads.ts";

const namespace = "magic-ip-test";
const magicIp = "169.254.210.210";
const absent = "169.254.210.211";
const image = `magic-ip-address-agent:${manifest.version}`;
const agents = "-n kube-system -l app.kubernetes.io/instance=telemetry";

const echoPorts = [
  { name: "http", port: 80, targetPortName: "echo-tcp" },
  { name: "stats", port: 80, targetPort: 8080, protocol: "UDP" as const },
];

let cluster: Cluster;
let mine = false;
let stack: Stack;
let stateDirectory: string;
let tablesBefore: string[];
/** Changed by tests; the program of the stack reads it. */
let addresses: { ipAddress: string; selector: string; namespace: string; ports: { port: number }[] }[] = [];

/** The component's name. */
let installation = "telemetry";

/** Calls that a test began, whether it ended them or failed before. */
const underWay: Calling[] = [];

beforeAll(async () => {
  // What takes minutes the first time comes before there is a cluster that would run meanwhile.
  await pulumiCli();
  const images = [await baseImage(), await agentImage(), await collectorImage()];
  // A cluster that runs is taken as it is: so the same is tried with kube-proxy's iptables mode and with routed pods.
  const running = await attach();
  mine = running === undefined;
  cluster = running ?? (await up());
  for (const image of images) await cluster.loadImage(image);
  await kubectl(`delete namespace ${namespace} --ignore-not-found`);
  await apply([
    ...programs(namespace),
    echoDaemonSet({ namespace, name: "echo", image: BASE_IMAGE }),
    clientDaemonSet(namespace, BASE_IMAGE),
  ]);
  await rolledOut("echo", "client");
  tablesBefore = await tables();
  stateDirectory = await mkdtemp(join(tmpdir(), "magic-ip-test-"));
  addresses = [
    { ipAddress: magicIp, selector: "app=echo", namespace, ports: echoPorts },
    { ipAddress: absent, selector: "app=nowhere", namespace, ports: [{ port: 80 }] },
  ];
  stack = await openStack({
    program: async () => {
      const { endpoints } = new MagicIpAddresses(installation, {
        ...{ addresses, agent: { image, verbose: true } },
      });
      return { endpoints };
    },
    kubeconfig: cluster.kubeconfig,
    stackName: "test",
    stateDirectory,
  });
  say(
    `  the Kubernetes provider is ${stack.plugin.kind === "real" ? "Pulumi's own" : "the tests' stand-in"}`,
  );
  await stack.up();
});

afterAll(async () => {
  await stack?.destroy().catch((error: Error) => say(error.message));
  if (cluster) await kubectl(`delete namespace ${namespace} --ignore-not-found --wait=false`);
  if (stateDirectory) await rm(stateDirectory, { recursive: true, force: true });
  if (mine) await down();
});

afterEach(async () => {
  await Promise.all(underWay.splice(0).map((calls) => calls.end()));
});

describe("after pulumi up", () => {
  it.each(["tcp", "udp"] as const)(
    "every client is answered over %s by the target on its own node",
    async (transport) => {
      const all = await callers(cluster, namespace);
      expect(all).toHaveLength(cluster.nodes.length);
      for (const caller of all) {
        const call = await callFrom(cluster, namespace, caller, transport, magicIp, 80);
        expect(call).toMatchObject({ node: caller.node, uid: await echoUid(caller.node), client: caller.ip });
      }
    },
  );

  it.each(["tcp", "udp"] as const)(
    "a process on the host network is answered over %s, too",
    async (transport) => {
      for (const node of cluster.nodes) {
        expect(await callFromNode(node, transport, magicIp, 80)).toMatchObject({ node: node.name });
      }
    },
  );

  it("one agent a node serves both addresses", async () => {
    const pods = await kubectl(`get pods ${agents} -o name`);
    expect(pods.trim().split("\n")).toHaveLength(cluster.nodes.length);
    for (const node of cluster.nodes) {
      const { stdout } = await node.exec([
        "nft",
        "list",
        "set",
        "inet",
        "magic-ip-kube-system.telemetry",
        "ips4",
      ]);
      expect(stdout).toContain(`{ ${magicIp}, ${absent} }`);
    }
  });

  it("a second up changes nothing", async () => {
    const { changes } = await stack.up();
    expect(changes).toMatchObject({ created: 0, updated: 0, replaced: 0, deleted: 0 });
  });

  it("an address without a target on the node refuses at once, and nothing leaves the node", async () => {
    const { netns, device } = cluster.uplink;
    const watching = execa(
      "nsenter",
      [`--net=/run/netns/${netns}`, "tcpdump", "-i", device, "-nn", "-l", "dst", "host", absent],
      { reject: false },
    );
    await new Promise((resolve) => watching.stderr?.once("data", resolve));
    for (const caller of await callers(cluster, namespace)) {
      const call = await callFrom(cluster, namespace, caller, "tcp", absent, 80);
      expect(call.error).toBe("ECONNREFUSED");
      expect(call.milliseconds).toBeLessThan(1_000);
    }
    watching.kill("SIGINT");
    expect((await watching).stdout).toBe("");
  });

  it("the log says in one line what leads where, and shows no token", async () => {
    for (const { name, node } of await agentPods()) {
      const log = await kubectl(`logs -n kube-system ${name}`);
      const echo = await echoPod(node);
      expect(log).toContain(`${magicIp}:80/tcp → ${namespace}/${echo.name} ${echo.ip}:8080`);
      expect(log).toContain(
        `${absent}:80/tcp has no target on this node: no pod in ${namespace} matches app=nowhere; refused`,
      );
      const token = await kubectl(
        `exec -n kube-system ${name} -- cat /var/run/secrets/kubernetes.io/serviceaccount/token`,
      );
      const environment = await kubectl(`exec -n kube-system ${name} -- env`);
      expect(token.length).toBeGreaterThan(100);
      expect(log + environment).not.toContain(token.slice(0, 60));
      expect(log).not.toMatch(/Bearer|eyJ/);
    }
  });

  it("the agent has one capability and a read-only root", async () => {
    const [{ name } = { name: "" }] = await agentPods();
    const inAgent = (...argv: string[]) =>
      cluster.kubectl(["exec", "-n", "kube-system", name, "--", ...argv]);
    expect(await inAgent("grep", "CapEff", "/proc/1/status")).toContain("0000000000001000");
    await expect(inAgent("touch", "/x")).rejects.toThrow(/Read-only file system/);
  });
});

describe("while a target is replaced", () => {
  it("traffic follows the new pod's readiness within milliseconds, on every node, over and over", async () => {
    const events = await PodEvents.watch(cluster, namespace, "app=echo");
    const delays: number[] = [];
    // `npm run bench -- latency` takes 200 of them.
    const rounds = 2;
    // One at a time: a container that starts elsewhere on this machine would be measured, too.
    for (let round = 0; round < rounds; round++) {
      for (const node of cluster.nodes) delays.push(await replaceTarget(node, events));
    }
    events.stop();
    say(`  readiness in the API → traffic through the magic IP: ${distribution(delays)}`);
    expect(delays).toHaveLength(rounds * cluster.nodes.length);
    expect(Math.max(...delays)).toBeLessThan(5_000);
  }, 240_000);

  it("no new connection fails on a rollout that starts the new pod first, and UDP follows", async () => {
    const surging = { namespace, name: "echo", image: BASE_IMAGE, drainSeconds: 2 };
    await apply([echoDaemonSet({ ...surging, revision: "2" })]);
    await rolledOut("echo");
    const everywhere = await callFromEverywhere();
    await apply([echoDaemonSet({ ...surging, revision: "3" })]);
    await rolledOut("echo");
    for (const { caller, tcp, udp } of everywhere) {
      const uid = await echoUid(caller.node);
      const calls = await tcp.end();
      expect(calls.length).toBeGreaterThan(100);
      expect(calls.filter(({ error }) => error !== undefined)).toEqual([]);
      expect(calls.filter(({ node }) => node !== caller.node)).toEqual([]);
      expect(calls.at(-1)?.uid).toBe(uid);
      const datagrams = await udp.end();
      // One may be under way when its flow ends: its answer has no flow to come back by. Where two in a row are lost,
      // the sender was left with a pod that is gone.
      const lost = datagrams.map(({ error }) => error !== undefined);
      const gaps = datagrams.filter((_, index) => lost[index] && lost[index + 1]);
      expect(gaps, `${caller.node}: ${around(datagrams, lost)}`).toEqual([]);
      expect(lost.filter(Boolean).length, around(datagrams, lost)).toBeLessThanOrEqual(2);
      expect(datagrams.findLast(({ error }) => error === undefined)?.uid).toBe(uid);
    }
  });
});

describe("while the agent is restarted", () => {
  it("no connection fails and no datagram is lost", async () => {
    const everywhere = await callFromEverywhere();
    await kubectl("rollout restart -n kube-system daemonset/telemetry");
    await kubectl("rollout status -n kube-system daemonset/telemetry --timeout=120s");
    for (const calling of everywhere.flatMap(({ tcp, udp }) => [tcp, udp])) {
      const calls = await calling.end();
      expect(calls.length).toBeGreaterThan(100);
      expect(calls.filter(({ error }) => error !== undefined)).toEqual([]);
    }
  });
});

describe("a configuration that is wrong", () => {
  it("is refused at preview with every fault and its path", async () => {
    const good = addresses;
    addresses = [
      {
        ipAddress: "169.254.169.254",
        selector: "app=echo",
        namespace,
        ports: [{ port: 0 }, { port: 80 }, { port: 80 }],
      },
      { ipAddress: "10.0.0", selector: "a b", namespace, ports: [{ port: 80 }] },
    ];
    const failure = await stack.preview().catch((error: OperationFailed) => error.message);
    addresses = good;
    for (const path of [
      "addresses[0].ipAddress",
      "addresses[0].ports[0].port",
      "addresses[0].ports[2].port",
      "addresses[1].ipAddress",
      "addresses[1].selector",
    ]) {
      expect(failure).toContain(`${path}:`);
    }
  });

  it("that reaches a node makes the pod say why, and the old rules stay", async () => {
    const bad =
      "instance: kube-system.telemetry\naddresses: [{ipAddress: 169.254.169.254, selector: app=echo, ports: [{port: 80}]}]";
    const path = "/spec/template/metadata/annotations/magic-ip-address~1config";
    const patch = JSON.stringify([{ op: "replace", path, value: bad }]);
    await cluster.kubectl([..."patch daemonset/telemetry -n kube-system --type=json -p".split(" "), patch]);

    const said = await until(async () => {
      const states = await kubectl(`get pods ${agents} -o jsonpath={.items[*].status.containerStatuses[*]}`);
      return states.includes("cannot be used") ? states : undefined;
    });
    expect(said).toContain(
      "addresses[0].ipAddress: 169.254.169.254 is reserved for the cloud's instance metadata service",
    );
    for (const caller of await callers(cluster, namespace)) {
      expect(await callFrom(cluster, namespace, caller, "tcp", magicIp, 80)).toMatchObject({
        node: caller.node,
      });
    }
    await kubectl("rollout undo -n kube-system daemonset/telemetry");
    await kubectl("rollout status -n kube-system daemonset/telemetry --timeout=120s");
  });
});

// Its short form is continuity/renamed, with the agent's process alone.
const renaming = isLong ? describe : () => {};
renaming("while the installation gets another name (S9)", () => {
  it.each(["renamed", "telemetry"])(
    "the update to %s finishes, and the new agents take over from the old ones",
    async (name) => {
      const everywhere = await callFromEverywhere();
      installation = name;
      const { diagnostics, seconds } = await stack.up();
      expect(diagnostics).toContain(`MagicIpAddresses "${name}" does not wait for its agents in this update`);
      await kubectl(`rollout status -n kube-system daemonset/${name} --timeout=60s`);
      const calls = (await Promise.all(everywhere.map(({ tcp }) => tcp.end()))).flat();
      const datagrams = (await Promise.all(everywhere.map(({ udp }) => udp.end()))).flat();
      const [lost, unanswered] = [calls, datagrams].map((all) =>
        all.filter(({ error }) => error !== undefined),
      );
      say(
        `  renamed in ${seconds.toFixed(0)} s: ${lost?.length} of ${calls.length} calls and ${unanswered?.length} of ${datagrams.length} datagrams were lost`,
      );
      expect(calls.length).toBeGreaterThan(100);
      // 100 calls a second and node; without a hint an agent sees after 4 s that the other one is gone.
      expect(lost?.length).toBeLessThan(400 * everywhere.length);
      // It is waited for again, and there is something to wait for.
      expect((await stack.up()).diagnostics).toBe("");
    },
    300_000,
  );
});

describe("helm install alone", () => {
  const chart = new URL("../../component/chart", import.meta.url).pathname;
  const helm = async (...args: string[]) =>
    (
      await execa(await helmPath(), [...args, "-n", "kube-system"], {
        env: { KUBECONFIG: cluster.kubeconfig },
      })
    ).stdout;
  const install = (release: string, address: Record<string, unknown>, ...flags: string[]) => {
    const addresses = JSON.stringify([{ namespace, selector: "app=echo", ...address }]);
    return helm("install", release, chart, "--set-json", `addresses=${addresses}`, ...flags);
  };
  const uninstall = async (release: string) => {
    await helm("uninstall", release, "--wait");
    await until(async () =>
      (await tables()).some((table) => table.includes(`kube-system.${release}`)) ? undefined : true,
    );
  };

  it("works beside the other installation, IPv4 only where the cluster has no IPv6, and uninstall leaves nothing", async () => {
    const address = { ipAddress: "169.254.210.212", ipv6Address: "fd00:210::212" };
    const ports = [{ port: 80, targetPort: 8080 }];
    const notes = await install("plain", { ...address, ports }, "--wait", "--timeout", "120s");
    expect(notes).toContain("169.254.210.212:80");
    for (const caller of await callers(cluster, namespace)) {
      expect(await callFrom(cluster, namespace, caller, "tcp", "169.254.210.212", 80)).toMatchObject({
        node: caller.node,
      });
    }
    expect(await kubectl("logs -n kube-system daemonset/plain-magic-ip-address")).toMatch(
      /\[fd00:210::212\]:80\/tcp has no target on this node: .* has no usable IPv6 address; refused/,
    );
    await uninstall("plain");
  });

  const long = isLong ? it : () => {};
  long(
    "with another backend takes over without a gap, holds no table, and uninstall leaves nothing",
    async () => {
      const address = { ipAddress: "169.254.210.213", ports: [{ port: 80, targetPort: 8080 }] };
      const chains = async () => {
        const lists = cluster.nodes.map((node) => node.exec(["iptables-save"]));
        return (await Promise.all(lists)).flatMap(({ stdout }) => stdout.match(/^:MAGICIP\S+/gm) ?? []);
      };
      await install("other", address, "--wait", "--timeout", "120s");
      expect(await helm("test", "other", "--logs", "--timeout", "60s")).toMatch(
        /169\.254\.210\.213:80\S* answers/,
      );
      const [caller] = await callers(cluster, namespace);
      if (caller === undefined) throw new Error("no client runs");
      const calling = callOn(caller, "tcp", address.ipAddress);
      await helm(
        "upgrade",
        "other",
        chart,
        "--reuse-values",
        "--set",
        "backend=iptables",
        "--wait",
        "--timeout",
        "120s",
      );
      await until(async () =>
        (await tables()).some((table) => table.includes("kube-system.other")) ? undefined : true,
      );
      expect(await chains()).not.toEqual([]);
      const calls = await calling.end();
      expect(calls.filter(({ error }) => error !== undefined)).toEqual([]);
      expect(calls.at(-1)).toMatchObject({ node: caller.node });
      expect(await kubectl("logs -n kube-system daemonset/other-magic-ip-address")).toContain(
        "the rules are held by iptables",
      );
      await uninstall("other");
      await until(async () => ((await chains()).length === 0 ? true : undefined));
    },
  );

  it("that claims an address of another installation leaves it alone, says so in readiness, log and event, and loses nothing", async () => {
    await install("second", { ipAddress: magicIp, ports: [{ port: 80, targetPort: 1 }] });
    const said = `${magicIp}:80/tcp belongs to the installation kube-system.telemetry on this node`;
    // An installation that was renamed may have said the same before.
    const events =
      "get events -n kube-system --field-selector reason=MagicIpConflict,involvedObject.name=second-magic-ip-address -o json";
    await until(async () => (await kubectl(events)).includes(said) || undefined);
    // The event may be of the one pod, and kubectl choose the other, which starts.
    await until(async () => {
      const log = await kubectl("logs -n kube-system daemonset/second-magic-ip-address").catch(() => "");
      return log.includes(said) || undefined;
    });
    expect(
      await kubectl("get daemonset/second-magic-ip-address -n kube-system -o jsonpath={.status.numberReady}"),
    ).toBe("0");
    for (const caller of await callers(cluster, namespace)) {
      expect(await callFrom(cluster, namespace, caller, "tcp", magicIp, 80)).toMatchObject({
        node: caller.node,
      });
    }
    await uninstall("second");
    for (const caller of await callers(cluster, namespace)) {
      expect(await callFrom(cluster, namespace, caller, "tcp", magicIp, 80)).toMatchObject({
        node: caller.node,
      });
    }
  });
});

configurationTests(() => cluster, namespace);

describe("after pulumi destroy", () => {
  it("neither a resource nor a table nor a flow is left", async () => {
    await stack.destroy();
    const kinds = "daemonsets,pods,configmaps,serviceaccounts,roles,rolebindings";
    expect(await kubectl(`get ${kinds} -A -l app.kubernetes.io/name=magic-ip-address -o name`)).toBe("");
    expect(await tables()).toEqual(tablesBefore);
    for (const node of cluster.nodes) {
      const { stdout } = await node.exec(["conntrack", "-L", "-d", magicIp]);
      expect(stdout).toBe("");
    }
  });
});

telemetryTests(() => cluster, image);

/** Runs kubectl with the words of the command. */
function kubectl(command: string): Promise<string> {
  return cluster.kubectl(command.split(" "));
}

/** The lost datagrams, and the ones before and after each. */
function around(datagrams: Call[], lost: boolean[]): string {
  const near = datagrams.filter((_, index) => lost[index - 1] || lost[index] || lost[index + 1]);
  return JSON.stringify(near);
}

/** Calls from every client over both transports until ended. */
async function callFromEverywhere() {
  const all = await callers(cluster, namespace);
  return all.map((caller) => ({
    caller,
    tcp: callOn(caller, "tcp", magicIp),
    udp: callOn(caller, "udp", magicIp),
  }));
}

/** Calls a hundred times a second until ended, at the latest with the test. */
function callOn(caller: Caller, transport: "tcp" | "udp", address: string): Calling {
  const calls = keepCalling(nodeOf(caller), { namespace, name: caller.pod }, transport, address, 80, 10);
  underWay.push(calls);
  return calls;
}

async function apply(items: Manifest[]): Promise<void> {
  await cluster.kubectl(["apply", "-f", "-"], {
    input: JSON.stringify({ apiVersion: "v1", kind: "List", items }),
  });
}

async function rolledOut(...names: string[]): Promise<void> {
  for (const name of names) await kubectl(`rollout status -n ${namespace} daemonset/${name} --timeout=180s`);
}

async function tables(): Promise<string[]> {
  const lists = await Promise.all(
    cluster.nodes.map(
      async (node) => `${node.name}:\n${(await node.exec(["nft", "list", "tables"])).stdout}`,
    ),
  );
  return lists.flatMap((list) => list.split("\n"));
}

interface EchoPod {
  name: string;
  uid: string;
  ip: string;
}

async function echoPod(node: string): Promise<EchoPod> {
  const list = await kubectl(
    `get pods -n ${namespace} -l app=echo --field-selector spec.nodeName=${node} -o json`,
  );
  const { items } = JSON.parse(list) as {
    items: {
      metadata: { name: string; uid: string; deletionTimestamp?: string };
      status: { podIP: string };
    }[];
  };
  const staying = items.find(({ metadata }) => metadata.deletionTimestamp === undefined);
  return {
    name: staying?.metadata.name ?? "",
    uid: staying?.metadata.uid ?? "",
    ip: staying?.status.podIP ?? "",
  };
}

async function echoUid(node: string): Promise<string> {
  return (await echoPod(node)).uid;
}

async function agentPods(): Promise<{ name: string; node: string }[]> {
  const columns = "custom-columns=N:.metadata.name,O:.spec.nodeName";
  const rows = (await kubectl(`get pods ${agents} --no-headers -o ${columns}`)).trim().split("\n");
  return rows.map((row) => row.split(/\s+/)).map(([name = "", node = ""]) => ({ name, node }));
}

/** Deletes the node's target and returns the milliseconds from the new one's readiness in the API to its first answer. */
async function replaceTarget(node: ClusterNode, events: PodEvents): Promise<number> {
  const caller = (await callers(cluster, namespace)).find((one) => one.node === node.name);
  if (caller === undefined) throw new Error(`no client runs on ${node.name}`);
  const old = await echoPod(node.name);
  const calling = callOn(caller, "tcp", magicIp);
  await kubectl(`delete pod -n ${namespace} ${old.name} --wait=false`);
  const ready = await events.nextReady(node.name, old.uid);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const calls = await calling.end();
  const first = calls.find(({ uid }) => uid === ready.uid);
  if (first === undefined) throw new Error(`${ready.name} was ready, and no call reached it within 300 ms`);
  return Math.max(0, first.at + first.milliseconds - ready.at);
}

function nodeOf({ node }: Caller): ClusterNode {
  const found = cluster.nodes.find(({ name }) => name === node);
  if (found === undefined) throw new Error(`the cluster has no node ${node}`);
  return found;
}

async function until<T>(probe: () => Promise<T | undefined>, seconds = 60): Promise<T> {
  for (let waited = 0; waited < seconds * 5; waited++) {
    const result = await probe();
    if (result !== undefined) return result;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`nothing came within ${seconds} s`);
}
