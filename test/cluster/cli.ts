import { parseArgs } from "node:util";
import { say } from "../support/progress.ts";
import { adminKubeconfig } from "./certificates.ts";
import { attach, down, notRunning, up } from "./cluster.ts";
import { runKubectl } from "./kubectl.ts";
import { type ClusterOptions, completeOptions, MOST_NODES, POD_NETWORKS, PROXY_MODES } from "./plan.ts";
import { logOf, readState } from "./state.ts";

const HELP = `A real Kubernetes cluster inside this machine, for tests and for the demo.

usage: npm run cluster -- up [--nodes N] [--proxy-mode MODE] [--network NETWORK]
       npm run cluster -- status
       npm run cluster -- down

  up      Starts the cluster and prints the KUBECONFIG to use. One that runs with the same options is left as it is;
          one with other options is removed first.
            --nodes N           1 to ${MOST_NODES}; default 2
            --proxy-mode MODE   how kube-proxy writes its rules: ${PROXY_MODES.join(" or ")}; default ${PROXY_MODES[0]}
            --network NETWORK   how pods are connected: ${POD_NETWORKS.join(" or ")}; default ${POD_NETWORKS[0]}
  status  Says what runs, and which nodes are Ready.
  down    Removes the cluster and everything it left on the machine, also after a crash.

There is one cluster on a machine; MAGIC_IP_CLUSTER=NAME works on another one beside it.

exit codes: 0 done · 1 failed · 2 wrong usage · 3 (status) no cluster, or not all of it works · 130 interrupted`;

const USAGE_ERROR = 2;
const NOT_SOUND = 3;
const INTERRUPTED = 130;

process.on("SIGINT", () => {
  say(readState() ? "interrupted; npm run cluster -- down removes what was started" : "interrupted");
  process.exit(INTERRUPTED);
});
process.exit(await main(process.argv.slice(2)));

async function main(args: string[]): Promise<number> {
  let command: Command;
  try {
    command = parse(args);
  } catch (error) {
    say(`${(error as Error).message}\n(npm run cluster -- --help says more)`);
    return USAGE_ERROR;
  }
  try {
    return await command();
  } catch (error) {
    say(`failed: ${(error as Error).message}`);
    return 1;
  }
}

type Command = () => Promise<number>;

function parse(args: string[]): Command {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      nodes: { type: "string" },
      "proxy-mode": { type: "string" },
      network: { type: "string" },
    },
  });
  if (values.help) return showHelp;
  const [name = "", ...rest] = positionals;
  if (rest.length > 0) throw new Error(`too many arguments: ${rest.join(" ")}`);
  if (name === "up") {
    const options = completeOptions(given({ ...values, proxyMode: values["proxy-mode"] }));
    return () => bringUp(options);
  }
  const [option] = Object.keys(values);
  if (option) throw new Error(`--${option} is an option of up only`);
  if (name === "down") return takeDown;
  if (name === "status") return showStatus;
  throw new Error(name ? `no such command: ${name}` : "no command given: up, down or status");
}

/** The options that were given, as their types; whether they make sense is said by `completeOptions`. */
function given(values: { nodes?: string; proxyMode?: string; network?: string }): Partial<ClusterOptions> {
  const { nodes, proxyMode, network } = values;
  return {
    ...(nodes === undefined ? {} : { nodes: Number(nodes) }),
    ...(proxyMode === undefined ? {} : { proxyMode: proxyMode as ClusterOptions["proxyMode"] }),
    ...(network === undefined ? {} : { network: network as ClusterOptions["network"] }),
  };
}

async function showHelp(): Promise<number> {
  process.stdout.write(`${HELP}\n`);
  return 0;
}

async function bringUp(options: ClusterOptions): Promise<number> {
  const started = performance.now();
  const { kubeconfig, nodes } = await up(options);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  say(`the cluster is up: ${nodes.length} nodes Ready (${seconds} s)`);
  process.stdout.write(`export KUBECONFIG=${kubeconfig}\n`);
  return 0;
}

async function takeDown(): Promise<number> {
  const started = performance.now();
  await down();
  say(`nothing of the cluster is left (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  return 0;
}

async function showStatus(): Promise<number> {
  const state = readState();
  if (!state) {
    process.stdout.write("no cluster\n");
    return NOT_SOUND;
  }
  const { nodes, proxyMode, network } = state.options;
  process.stdout.write(`cluster of ${nodes} nodes, kube-proxy ${proxyMode}, pod network ${network}\n`);
  for (const name of notRunning(state))
    process.stdout.write(`not running: ${name} (${logOf(state, name)})\n`);
  if (!(await attach())) {
    process.stdout.write(state.ready ? "not sound\n" : "not complete: its start failed or was interrupted\n");
    return NOT_SOUND;
  }
  process.stdout.write(`${await runKubectl(adminKubeconfig(state), ["get", "nodes", "--output", "wide"])}\n`);
  process.stdout.write(`export KUBECONFIG=${adminKubeconfig(state)}\n`);
  return 0;
}
