import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import { flowTable } from "../desired/flows.ts";
import { flowKinds } from "../kernel.ts";
import { connectApi } from "../kubernetes/api.ts";
import { listPods } from "../kubernetes/pods.ts";
import { chooseBackend } from "../netfilter/choice.ts";
import { Conntrack } from "../netfilter/conntrack.ts";
import { NodeObserver } from "../netfilter/node.ts";
import { changes } from "../status/status.ts";
import { reconcile } from "../sync/reconcile.ts";
import { loadConfig, nodeName, type Options, type Surroundings } from "./terminal.ts";

export function addOnce(command: Command, { out, env }: Surroundings): void {
  command
    .description("list the pods of this node, bring the rules up to date, print what leads where, end")
    .option("-n, --node <name>", "this node's name (default: NODE_NAME, else the host name)")
    .action(async (options: Options) =>
      out(await once(await loadConfig(options, env), nodeName(options, env))),
    );
}

async function once(config: Config, nodeName: string): Promise<string> {
  const pods = await listPods(connectApi(), config, nodeName);
  const node = await new NodeObserver(nodeName).look(pods.flatMap(({ ips }) => ips));
  const { backend } = await chooseBackend(config, node);
  const claims = await backend.claims(config.instance);
  const pass = { config, node, pods, claims, last: undefined, intact: false, settle: true };
  const { state } = await reconcile(pass, backend);
  if (backend.shortfall !== undefined) throw new Error(backend.shortfall);
  const flows = new Conntrack();
  const table = flowTable({ states: [state] });
  for (const kind of flowKinds) await flows.pass(kind, table);
  flows.end();
  return `${changes(undefined, state.bindings, state.problems).join("\n")}\n`;
}
