import type { V1Pod } from "@kubernetes/client-node";
import { matchesSelector } from "../../component/address/selector.ts";
import type { Api } from "./api.ts";
import type { Address, Config } from "../config/config.ts";
import { type Pod, podFromApi, podShape, type Sight } from "./pod.ts";
import { type Interest, type Known, list } from "./podpages.ts";
import { Deleted, isOlder } from "./podversions.ts";
import { type PodListener, PodWatch, sleep, type Times } from "./podwatch.ts";

export type { PodListener } from "./podwatch.ts";

/**
 * Selectors of one namespace that are watched one by one. Each is a connection to the API server, which takes 0.17 MiB;
 * where there are more, the node's pods of the namespace are watched once, and the selectors choose among them.
 */
const mostSelectors = 16;

/** The pods of this node that the addresses may lead to, kept in step with the API server. */
export interface PodSource {
  /** What is known now; undefined until every selector was listed, has failed, or has taken too long. */
  pods(): Pod[] | undefined;
  /** Of what `pods` returned at the same moment. */
  sight: Sight;
  /** When the API server was last heard, as performance.now() says, by what is listed and watched (path and selector). */
  heard(): Map<string, number>;
}

const usual: Times = { comeBack: 11_000, silence: 75_000, settled: 1_000, first: 2_000 };

/**
 * Lists, then watches, the pods of the node for each namespace and selector until the signal aborts. A watch resumes
 * where it ended, but everything is listed anew where it may have lost something: after a silence, when the version is
 * too old to go on from, and when versions go backwards (an etcd restore). The relist after `pollInterval` is the safety
 * net behind that. Failures are retried for ever, and what was known stays known. Selectors wait for each other at the start
 * only: whoever loses one namespace must not lose the addresses of all others.
 */
export function watchPods(
  api: Api,
  config: Config,
  nodeName: string,
  listener: PodListener,
  signal: AbortSignal,
  times = usual,
): PodSource {
  const all = { ...times, relist: config.pollInterval * 1000 };
  const deleted = new Deleted();
  const nameOf = namer(config);
  const crowded = crowdedNamespaces(config);
  const watches = new Map(
    [...interests(config)].map(([name, interest]) => [
      name,
      new PodWatch(api, interest, nodeName, all, listener, deleted),
    ]),
  );
  for (const watch of watches.values()) void watch.run(signal);
  let waited = false;
  void sleep(times.first, signal).then(() => {
    waited = true;
    listener.changed();
  });
  const own = [...watches.values()];
  const isWaiting = () => !waited && own.some(({ known, failed }) => known === undefined && !failed);
  return {
    pods: () =>
      isWaiting()
        ? undefined
        : wanted(
            config,
            crowded,
            merged(
              own.map(({ known }) => known ?? new Map()),
              deleted,
            ),
          ),
    sight: {
      knows: (address) => watches.get(nameOf(address))?.known !== undefined,
      sees: (address, { uid }) => watches.get(nameOf(address))?.known?.has(uid) ?? false,
    },
    heard: () => new Map(own.flatMap(({ source, heard }) => (heard === undefined ? [] : [[source, heard]]))),
  };
}

/** The pods of the node, listed once. @throws {ApiError}, {JsonError} or a network error */
export async function listPods(api: Api, config: Config, nodeName: string): Promise<Pod[]> {
  const lists = await Promise.all(
    [...interests(config).values()].map((interest) => list(api, interest, nodeName)),
  );
  return merged(lists.map(({ pods }) => pods));
}

/** What is listed and watched, by the name that its addresses share. */
function interests(config: Config): Map<string, Interest> {
  const { addresses } = config;
  const labels = addresses.flatMap(({ requirements }) => requirements.map(({ key }) => key));
  const ports = new Set(addresses.flatMap(({ ports }) => ports.map(({ targetPort }) => targetPort)));
  const shape = podShape(
    labels,
    [...ports].some((port) => typeof port === "string"),
  );
  const read = (item: V1Pod) => {
    const pod = podFromApi(item);
    return { ...pod, namedPorts: pod.namedPorts.filter(({ name }) => ports.has(name)) };
  };
  const nameOf = namer(config);
  return new Map(
    addresses.map((address) => {
      const name = nameOf(address);
      const selector = name === address.namespace ? undefined : address.selector;
      return [name, { namespace: address.namespace, selector, shape, read }];
    }),
  );
}

type Place = Pick<Address, "namespace" | "selector">;

/** Names an address by its namespace and selector, or by its namespace alone where that has many selectors. */
function namer(config: Config): (address: Place) => string {
  const crowded = crowdedNamespaces(config);
  return ({ namespace, selector }) => (crowded.has(namespace) ? namespace : `${namespace} ${selector}`);
}

function crowdedNamespaces({ addresses }: Config): Set<string> {
  const byNamespace = Map.groupBy(addresses, ({ namespace }) => namespace);
  const isCrowded = ([, places]: [string, Place[]]) =>
    new Set(places.map(({ selector }) => selector)).size > mostSelectors;
  return new Set([...byNamespace].filter(isCrowded).map(([namespace]) => namespace));
}

/** Those that an address selects: of a namespace that is watched as a whole there are others. */
function wanted({ addresses }: Config, crowded: Set<string>, pods: Pod[]): Pod[] {
  return pods.filter(
    (pod) =>
      !crowded.has(pod.namespace) ||
      addresses.some(
        ({ namespace, requirements }) =>
          namespace === pod.namespace && matchesSelector(requirements, pod.labels),
      ),
  );
}

/** Two selectors may know one pod; the uid tells, and the version which of them heard of it last. */
function merged(all: Known[], deleted = new Deleted()): Pod[] {
  const newest: Known = new Map();
  for (const [uid, pod] of all.flatMap((known) => [...known])) {
    if (deleted.has(pod)) continue;
    const other = newest.get(uid);
    if (other === undefined || !isOlder(pod.version, other.version)) newest.set(uid, pod);
  }
  return [...newest.values()];
}
