import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { magicIp, ready, type Stage } from "../../continuity/stage.ts";
import { remember, tcpStates } from "../../kernel/remember.ts";
import { foreignRules } from "./foreign-rules.ts";
import { addLargePods, floodEvents } from "./pods.ts";
import { type Scene, startAgent, wholeIp } from "./scene.ts";

/** Something that others on a node, or of a cluster, can make as much of as they like. */
export interface Attack {
  name: string;
  /** Before the agent starts. The stage is cleared afterwards: pods, rules and flows go. */
  prepare?(stage: Stage): Promise<void>;
  /** While targets move and the readiness is asked for. */
  act(scene: Scene): Promise<void>;
}

const client = (name: string) => fileURLToPath(new URL(`../../clients/${name}.mjs`, import.meta.url));

/** Milliseconds for which the moves go on after the attack, while what it made is still there. */
const aftermath = 8_000;

export const attacks: Attack[] = [
  {
    name: "126,000 UDP flows to a magic IP",
    act: async ({ stage }) => {
      await stage.node.in("client", [process.execPath, client("datagrams"), wholeIp, "126000"]);
      await delay(aftermath);
    },
  },
  {
    name: "126,000 UDP flows to an outside host, and a restart",
    act: async (scene) => {
      await scene.stage.node.in("client", [process.execPath, client("datagrams"), "192.0.2.1", "126000"]);
      await restart(scene);
      await delay(aftermath);
    },
  },
  {
    name: "a sweep of 20,000 ports of a whole IP",
    act: async ({ stage }) => {
      await stage.node.in("client", [process.execPath, client("datagrams"), wholeIp, "20000"]);
      await delay(aftermath);
    },
  },
  {
    name: "250,000 remembered TCP connections, and a restart",
    act: async (scene) => {
      const node = scene.stage.node.entering("node");
      // One client has 60,000 ports.
      for (const client of ["10.9.1.1", "10.9.1.2", "10.9.1.3", "10.9.1.4", "10.9.1.5"]) {
        const flows = { count: 50_000, protocol: 6, client, to: magicIp, state: tcpStates.TIME_WAIT };
        await remember(node, { ...flows, from: scene.a });
      }
      await delay(aftermath);
      await restart(scene);
      await delay(aftermath);
    },
  },
  {
    name: "5,000 pod events a second",
    prepare: (stage) => Promise.resolve(floodEvents(stage, 5_000)),
    act: () => delay(15_000),
  },
  {
    name: "100 pods of 0.8 MB, and a restart",
    prepare: (stage) => addLargePods(stage, 100, 800_000),
    act: async (scene) => {
      await restart(scene);
      await delay(aftermath);
    },
  },
  {
    name: "100,000 foreign iptables-nft rules, and a restart",
    prepare: async ({ node }) => {
      await node.in("node", ["iptables-nft-restore", "--noflush"], { input: foreignRules(100_000) });
    },
    act: async (scene) => {
      await delay(aftermath);
      await restart(scene);
      await delay(aftermath);
    },
  },
  {
    name: "1,000,000 foreign element changes",
    act: async ({ stage }) => {
      const changes = 20_000;
      const ips = Array.from(
        { length: changes },
        (_, index) => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
      );
      const input = `add element inet blocklist ips { ${ips.join(", ")} }\nflush set inet blocklist ips\n`;
      await stage.node.load("table inet blocklist {\n\tset ips {\n\t\ttype ipv4_addr\n\t}\n}\n");
      for (let made = 0; made < 1_000_000; made += 2 * changes)
        await stage.node.in("node", ["nft", "-f", "-"], { input });
    },
  },
  {
    name: "5,000 half-open HTTP connections",
    act: async ({ stage }) => {
      const words = [process.execPath, client("half-open"), "127.0.0.1", "61000", "5000", "15000"];
      const attacker = stage.node.in("node", words, { reject: false });
      await delay(15_000);
      attacker.kill("SIGKILL");
      await attacker;
    },
  },
];

/** The agent starts anew in the same container, as the kubelet restarts it. */
async function restart(scene: Scene): Promise<void> {
  scene.restarting = true;
  await scene.agent.stop("SIGTERM");
  scene.agent = await startAgent(scene.stage, scene.container);
  await ready(scene.agent, true, 30);
  scene.restarting = false;
}
