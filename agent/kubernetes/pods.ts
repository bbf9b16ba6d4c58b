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
 * Selectors of one namespace that have a watch each. A watch is a connection to the API server, which takes 0.17 MiB;
 * with more selectors, one watch covers all pods of the node in the namespace, and the agent applies the selectors.
 */
const mostSelectors = 16;

/** The pods of this node that the addresses may lead to, kept up to date with the API server. */
export interface PodSource {
  /** The pods known now; undefined until every selector was listed or has failed, or `times.first` has passed. */
  pods(): Pod[] | undefined;
  /** Matches what `pods` returns at the same moment. */
  sight: Sight;
  /** For each list and watch (path and selector): when the API server last answered, by performance.now(). */
  heard(): Map<string, number>;
}

const usual: Times = { comeBack: 11_000, silence: 75_000, settled: 1_000, first: 2_000 };

/**
 * Lists, then watches, the pods of the node for each namespace and selector until the signal aborts. A watch resumes
 * where it ended. The pods are listed again where events may be lost: after a silence, when the version is too old to
 * resume from, and when versions go backwards (an etcd restore). The relist after `pollInterval` catches other losses.
 * Failures are retried without end; the known pods stay known. Selectors wait for each other only at the start: an
 * agent that cannot list one namespace must still serve the addresses of all others.
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

/** The lists and watches that the configuration needs, by the name that `namer` gives their addresses. */
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

/** Names an address by its namespace and selector, or by its namespace alone where the namespace is crowded. */
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

/** The pods that an address selects; the watch of a whole namespace also reports others. */
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

/** Two selectors may match the same pod, which the uid shows; the one with the newer version is kept. */
function merged(all: Known[], deleted = new Deleted()): Pod[] {
  const newest: Known = new Map();
  for (const [uid, pod] of all.flatMap((known) => [...known])) {
    if (deleted.has(pod)) continue;
    const other = newest.get(uid);
    if (other === undefined || !isOlder(pod.version, other.version)) newest.set(uid, pod);
  }
  return [...newest.values()];
}
