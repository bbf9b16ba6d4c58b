// Times the agent's own functions on 10,000 bindings, in a process that scale.ts starts with the image's flags and a
// network namespace of its own. Prints JSON.
import { parseConfig } from "../../agent/config/config.ts";
import { desired } from "../../agent/desired/desired.ts";
import type { DesiredState } from "../../agent/desired/state.ts";
import { command } from "../../agent/netfilter/command.ts";
import { NftablesBackend } from "../../agent/netfilter/nftables.ts";
import { Tables } from "../../agent/netfilter/tables.ts";
import type { Pod } from "../../agent/kubernetes/pod.ts";
import { reconcile } from "../../agent/sync/reconcile.ts";
import { ruleset } from "../../agent/ruleset/nftables/table.ts";
import { labelsOf, many, manyAddresses, podIp } from "./many.ts";

/** Milliseconds, of each pass where there are several. */
export interface SyncTimes {
  parse: number;
  desired: number;
  /** The first write, as a whole; of it the part of nft and of the netlink program, by what was asked for. */
  write: number;
  nft: { what: string; milliseconds: number }[];
  /** The text alone; the write has made it, too. */
  text: number;
  changes: number[];
  nftOfChanges: number[];
  /** A look at the rules after a transaction, and after none. */
  inspections: number[];
}

const changes = 40;
const namespace = "magic-ip-bench";
const node = { name: "bench", uplinks: ["eth0"], bridgeNetfilter: { ipv4: true, ipv6: true } };

console.log(JSON.stringify(await measure()));

async function measure(): Promise<SyncTimes> {
  const text = JSON.stringify({ instance: "bench", addresses: manyAddresses(namespace) });
  const nft: { what: string; milliseconds: number }[] = [];
  const note = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    return work().finally(() => nft.push({ what, milliseconds: performance.now() - started }));
  };
  const tables = new Tables();
  const change = tables.change.bind(tables);
  tables.change = (...words) => note("change", () => change(...words));
  const backend = new NftablesBackend(
    (file, args, input) => note(args.join(" "), () => command(file, args, input)),
    tables,
  );
  const [parse, config] = await timed(() => parseConfig(text));
  let pods = Array.from({ length: many.pods }, (_, number) => pod(number));
  const [ofDesired, state] = await timed(() => desired(config, node, pods));
  const [write] = await timed(() => backend.write(state));
  const nftOfWrite = nft.splice(0);
  const [ofText] = await timed(() => ruleset(state));
  let last: DesiredState = state;
  const ofChanges: number[] = [];
  for (let change = 1; change <= changes; change++) {
    const index = (change * 7) % many.pods;
    pods = pods.with(index, pod(index, change));
    const pass = { config, node, pods, claims: [], last, intact: true, settle: false };
    const [milliseconds, sync] = await timed(() => reconcile(pass, backend));
    if (sync.outcome !== "changed") throw new Error(`change ${change} did not reach the kernel`);
    last = sync.state;
    ofChanges.push(milliseconds);
  }
  const nftOfChanges = nft.splice(0).map(({ milliseconds }) => milliseconds);
  const inspections: number[] = [];
  for (let inspection = 0; inspection < 2; inspection++) {
    const [milliseconds, holds] = await timed(() => backend.holds());
    if (!holds) throw new Error("the kernel does not hold what was written");
    inspections.push(milliseconds);
  }
  return {
    ...{ parse, desired: ofDesired, write, nft: nftOfWrite, text: ofText },
    ...{ changes: ofChanges, nftOfChanges, inspections },
  };
}

async function timed<T>(work: () => T | Promise<T>): Promise<[milliseconds: number, result: T]> {
  const started = performance.now();
  const result = await work();
  return [performance.now() - started, result];
}

function pod(number: number, change = 0): Pod {
  return {
    namespace,
    name: `pod-${number}`,
    version: "1",
    uid: `uid-${number}`,
    nodeName: node.name,
    labels: labelsOf(number),
    created: "2026-11-01T10:00:00Z",
    terminating: false,
    phase: "Running",
    ready: true,
    hostNetwork: false,
    ips: [podIp(number, change)],
    namedPorts: [],
  };
}
