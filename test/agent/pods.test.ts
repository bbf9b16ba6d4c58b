import type { V1Pod } from "@kubernetes/client-node";
import { afterEach, describe, expect, it } from "vitest";
import { type Api, ApiError, type Query, Silence, type WatchEnd } from "../../agent/kubernetes/api.ts";
import { type PodSource, watchPods } from "../../agent/kubernetes/pods.ts";
import { address, config } from "./state.ts";

interface Event {
  type: string;
  object: V1Pod & { code?: number };
}

/** A list, or a page of it: `next` is the continuation. */
interface Page {
  kind?: string;
  version?: string;
  items: V1Pod[] | null;
  next?: string;
}

const podOf = (name: string, version: string): V1Pod => ({
  metadata: { name, uid: name, namespace: "monitoring", resourceVersion: version },
});
const event = (type: string, name: string, version: string): Event => ({
  type,
  object: podOf(name, version),
});

/**
 * An API server whose lists and watches the test writes: what it throws first refuses the watch, a Silence ends it after
 * the time that it may be silent, and one that is not scripted stays open.
 */
class ScriptedApi implements Api {
  readonly asked: { kind: string; path: string; query: Query; silence?: number }[] = [];

  constructor(
    readonly lists: (V1Pod[] | Page | Error)[],
    readonly watches: (Event | Error)[][],
  ) {}

  async get<T>(path: string, query: Query): Promise<T> {
    this.asked.push({ kind: "list", path, query });
    const list = this.lists.shift() ?? [];
    if (list instanceof Error) throw list;
    const page: Page = Array.isArray(list) ? { items: list } : list;
    const { kind = "PodList", version = "100", next, items } = page;
    return { kind, metadata: { resourceVersion: version, continue: next }, items } as T;
  }

  async post(): Promise<void> {}

  async patch(): Promise<void> {}

  async watch<T>(path: string, query: Query, { signal, silence }: WatchEnd): Promise<AsyncGenerator<T>> {
    this.asked.push({ kind: "watch", path, query, silence });
    const events = this.watches.shift();
    const [first] = events ?? [];
    if (first instanceof Error && !(first instanceof Silence)) throw first;
    return said<T>(events, signal);
  }
}

async function* said<T>(events: (Event | Error)[] | undefined, signal: AbortSignal): AsyncGenerator<T> {
  for (const next of events ?? []) {
    if (next instanceof Error) throw next;
    yield next as T;
  }
  if (events !== undefined) return;
  await new Promise((_resolve, reject) =>
    signal.addEventListener("abort", () => reject(new Error("aborted"))),
  );
}

/** Lists that come after the first are never answered. */
function slow(api: ScriptedApi): Api["get"] {
  let lists = 0;
  return (path, query) => (lists++ === 0 ? api.get(path, query) : new Promise(() => {}));
}

const ending = new Set<AbortController>();
afterEach(() => {
  for (const controller of ending) controller.abort();
});

function follow(api: Api, of = config(), comeBack = 1_000) {
  const told: (string | undefined)[] = [];
  const controller = new AbortController();
  ending.add(controller);
  const listener = {
    changed: () => {},
    trouble: (_source: string, message: string | undefined) => void told.push(message),
  };
  const times = { comeBack, silence: 75_000, settled: 50, first: 300 };
  return { told, source: watchPods(api, of, "node-1", listener, controller.signal, times) };
}

const names = (source: PodSource) => source.pods()?.map(({ name }) => name);

async function until(probe: () => boolean): Promise<void> {
  for (let waited = 0; waited < 10_000 && !probe(); waited += 5)
    await new Promise((resolve) => setTimeout(resolve, 5));
  expect(probe()).toBe(true);
}

describe("the pods of the node", () => {
  const two = config({
    addresses: [address(), address({ ipAddress: "169.254.210.211", selector: "app=zipkin" })],
  });
  const known = (source: PodSource) => two.addresses.map(source.sight.knows);

  it("are unknown until every selector was listed once, unless one fails: it is unknown alone", async () => {
    const lists = [[podOf("a", "1")], new ApiError(403, "forbidden", 0), [podOf("b", "1")]];
    const { source } = follow(new ScriptedApi(lists, []), two);
    expect(names(source)).toBeUndefined();
    await until(() => names(source) !== undefined);
    expect([names(source), known(source)]).toEqual([["a"], [true, false]]);
    await until(() => known(source)[1] === true);
    expect(names(source)).toEqual(["a", "b"]);
  });

  it("of one selector wait for those of another for a moment only", async () => {
    const api = new ScriptedApi([[podOf("a", "1")]], []);
    const { source } = follow(
      { get: slow(api), watch: api.watch.bind(api), post: api.post, patch: api.patch },
      two,
    );
    await until(() => known(source)[0] === true);
    expect(names(source)).toBeUndefined();
    await until(() => names(source) !== undefined);
    expect([names(source), known(source)]).toEqual([["a"], [true, false]]);
  });

  it("that one watch has lost are lost to its address, whatever another, which is behind, still says", async () => {
    const both = (version: string, deleted?: string): V1Pod => ({
      metadata: {
        ...podOf("a", version).metadata,
        labels: { app: "zipkin" },
        ...(deleted && { deletionTimestamp: deleted as never }),
      },
    });
    const [first, second] = two.addresses;
    const relabelled = new ScriptedApi(
      [[both("5")], [both("5")]],
      [[{ type: "DELETED", object: both("101") }, new Silence()]],
    );
    const { source } = follow(relabelled, two);
    await until(() => relabelled.asked.length === 4 && source.pods()?.length === 1);
    const [pod] = source.pods() ?? [];
    if (pod === undefined || first === undefined || second === undefined) throw new Error("there is no pod");
    expect([source.sight.sees(first, pod), source.sight.sees(second, pod)]).toEqual([false, true]);
    const deleted = new ScriptedApi(
      [[both("5")], [both("5")]],
      [[{ type: "DELETED", object: both("101", "2026-11-01T10:00:00Z") }]],
    );
    const gone = follow(deleted, two).source;
    await until(() => deleted.asked.length >= 4 && gone.pods()?.length === 0);
  });

  it("tell when the API server was last heard of them", async () => {
    const began = performance.now();
    const { source } = follow(
      new ScriptedApi([[podOf("a", "1")], new ApiError(403, "forbidden", 0)], []),
      two,
    );
    await until(() => names(source) !== undefined);
    const [[name, at] = ["", 0], ...others] = [...source.heard()];
    expect([name, others]).toEqual(["/api/v1/namespaces/monitoring/pods (app=echo)", []]);
    expect(at).toBeGreaterThan(began);
  });

  it("are asked for by node and label, once for addresses that share a selector", async () => {
    const shared = config({ addresses: [address(), address({ ipAddress: "169.254.210.211" })] });
    const api = new ScriptedApi([[]], []);
    const { source } = follow(api, shared);
    await until(() => names(source) !== undefined && api.asked.length === 2);
    const selection = { fieldSelector: "spec.nodeName=node-1", labelSelector: "app=echo" };
    expect(api.asked[0]).toMatchObject({
      kind: "list",
      path: "/api/v1/namespaces/monitoring/pods",
      query: selection,
    });
    expect(api.asked[1]).toMatchObject({
      kind: "watch",
      query: { ...selection, resourceVersion: "100", allowWatchBookmarks: true },
    });
  });

  it("are listed page by page, and anew from the first page when the next one is too old to be had", async () => {
    const pages = [
      { items: [podOf("a", "1")], next: "page 2" },
      new ApiError(410, "the continuation is too old", 0),
      { items: [podOf("b", "2")], next: "page 2 again" },
      { items: [podOf("c", "3")] },
    ];
    const api = new ScriptedApi(pages, []);
    const { source, told } = follow(api);
    await until(() => api.asked.length === 5);
    expect(names(source)).toEqual(["b", "c"]);
    expect(api.asked.map(({ query }) => query.continue)).toEqual([
      ...[undefined, "page 2", undefined, "page 2 again", undefined],
    ]);
    expect(told).toEqual([]);
  });

  it("are none where the server says null for none", async () => {
    const { source, told } = follow(new ScriptedApi([{ items: null }], []));
    await until(() => names(source) !== undefined);
    expect([names(source), told]).toEqual([[], []]);
  });

  it("are not none where something answers 200 with an object that is no list of pods", async () => {
    const { source, told } = follow(
      new ScriptedApi([{ kind: "Status", items: null }, [podOf("a", "1")]], []),
    );
    await until(() => names(source)?.length === 1);
    expect(told[0]).toMatch(/answered with kind Status, not with a PodList/);
  });

  it("of a namespace with more than 16 selectors are listed and watched once, for all of them", async () => {
    const many = (count: number) => {
      const selectors = Array.from({ length: count }, (_, index) => `app=a${index}`);
      return config({
        addresses: selectors.map((selector, index) =>
          address({ ipAddress: `169.254.211.${index}`, selector }),
        ),
      });
    };
    const lists = async (of: ReturnType<typeof config>) => {
      const api = new ScriptedApi([], []);
      const { source } = follow(api, of);
      await until(() => names(source) !== undefined);
      expect(of.addresses.every(source.sight.knows)).toBe(true);
      return api.asked.filter(({ kind }) => kind === "list").map(({ query }) => query.labelSelector);
    };
    const api = new ScriptedApi([[podOf("stranger", "1")]], []);
    const { source } = follow(api, many(17));
    await until(() => names(source) !== undefined);
    expect(names(source)).toEqual([]);
    expect((await lists(many(16))).length).toBe(16);
    expect(await lists(many(17))).toEqual([undefined]);
  });

  it("are kept up to a thousand, the running ones before others", async () => {
    const idle = Array.from({ length: 1_500 }, (_, index) => podOf(`idle-${index}`, "1"));
    const running = { ...podOf("running", "2"), status: { phase: "Running" } };
    const { source } = follow(new ScriptedApi([[...idle, running]], []));
    await until(() => names(source) !== undefined);
    expect(names(source)).toHaveLength(1_000);
    expect(names(source)).toContain("running");
  });

  it("follow the events, and a watch that ended goes on where it was, bookmarks included", async () => {
    const first = [event("ADDED", "b", "101"), event("DELETED", "a", "102"), event("BOOKMARK", "", "150")];
    const api = new ScriptedApi([[podOf("a", "1")]], [first]);
    const { source } = follow(api);
    await until(() => api.asked.length === 3);
    expect(names(source)).toEqual(["b"]);
    expect(api.asked[2]?.query.resourceVersion).toBe("150");
  });

  it("are watched again within a second when a watch ends, and ever more slowly where it ends at once each time", async () => {
    const api = new ScriptedApi(
      [[]],
      Array.from({ length: 30 }, () => []),
    );
    follow(api, config(), 60_000);
    await until(() => api.asked.length >= 3);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(api.asked.length).toBeLessThan(12);
  });

  it.each([
    ["as an event", [{ type: "ERROR", object: { code: 410 } }]],
    ["as an answer", [new ApiError(410, "too old", 0)]],
  ])("are listed anew when the version is too old to go on from (410 %s)", async (_how, watch) => {
    const api = new ScriptedApi([[podOf("a", "1")], [podOf("c", "1")]], [watch]);
    const { source, told } = follow(api);
    await until(() => names(source)?.[0] === "c");
    expect(api.asked.map(({ kind }) => kind).slice(0, 3)).toEqual(["list", "watch", "list"]);
    expect(told).toEqual([]);
  });

  it("are listed anew where lists are answered and watches are not, and that is told once", async () => {
    const refused = [new ApiError(500, "no watch", 0)];
    const lists = [[podOf("a", "1")], [podOf("b", "2")]];
    const api = new ScriptedApi(
      lists,
      Array.from({ length: 6 }, () => refused),
    );
    const { source, told } = follow(api);
    await until(() => names(source)?.[0] === "b");
    await until(() => api.asked.length >= 9);
    expect(api.asked.map(({ kind }) => kind)).toEqual([
      ...["list", "watch", "watch", "watch", "watch"],
      ...["list", "watch", "watch", "watch"],
    ]);
    await until(() => told.at(-1) === undefined);
    expect(told.filter((message) => message === undefined)).toHaveLength(1);
  });

  it("are listed anew where watches begin with an error, which is trouble until one tells something (H41)", async () => {
    const failing: Event[] = [{ type: "ERROR", object: { code: 500 } }];
    const api = new ScriptedApi(
      [[podOf("a", "1")], [podOf("b", "2")]],
      Array.from({ length: 4 }, () => failing),
    );
    const { source, told } = follow(api);
    await until(() => names(source)?.[0] === "b");
    expect(api.asked.map(({ kind }) => kind).slice(0, 6)).toEqual([
      ...["list", "watch", "watch", "watch", "watch", "list"],
    ]);
    await until(() => told.at(-1) === undefined);
    expect(told.filter((message) => message === undefined)).toHaveLength(1);
  });

  it("are asked for ever more seldom where the role is gone (H41)", async () => {
    const api = new ScriptedApi(
      Array.from({ length: 200 }, () => new ApiError(403, "forbidden", 0)),
      [],
    );
    follow(api, config(), 100);
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    const first = api.asked.length;
    // Without growth 80 on average, of 50 ms each; with it 5 of 50 ms and then those of 100, 200 and 400 ms.
    expect(first).toBeLessThan(30);
  });

  it("are listed ever more seldom where every version is too old", async () => {
    const expired = Array.from({ length: 100 }, () => [new ApiError(410, "too old", 0)]);
    const api = new ScriptedApi([], expired);
    follow(api);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const lists = api.asked.filter(({ kind }) => kind === "list").length;
    expect([lists > 1, lists <= 5]).toEqual([true, true]);
  });

  it("that a restore of etcd brought back are known again, although versions have grown since", async () => {
    const gone = podOf("a", "150");
    const deleted = { ...gone, metadata: { ...gone.metadata, deletionTimestamp: new Date() } };
    const events: (Event | Error)[] = [{ type: "DELETED", object: deleted }, new ApiError(410, "too old", 0)];
    const api = new ScriptedApi([[podOf("a", "1")], { version: "200", items: [podOf("a", "1")] }], [events]);
    const { source } = follow(api);
    await until(() => api.asked.filter(({ kind }) => kind === "list").length === 2);
    await until(() => names(source)?.length === 1);
  });

  it("that two selectors know are as the one has them that heard of them last", async () => {
    const both = { ...podOf("a", "5"), metadata: { ...podOf("a", "5").metadata, labels: { app: "echo" } } };
    const two = config({
      addresses: [address(), address({ ipAddress: "169.254.210.211", selector: "app" })],
    });
    const later = {
      ...both,
      metadata: { ...both.metadata, resourceVersion: "101" },
      status: { phase: "Failed" },
    };
    // The watch of the first selector hears of it, that of the second does not.
    const api = new ScriptedApi([[both], [both]], [[{ type: "MODIFIED", object: later }, new Silence()]]);
    const { source } = follow(api, two);
    await until(() => source.pods()?.[0]?.phase === "Failed");
    expect(source.pods()).toHaveLength(1);
  });

  it("are listed anew when versions go backwards, as after a restore of etcd", async () => {
    const api = new ScriptedApi([[podOf("a", "1")], [podOf("c", "1")]], [[event("ADDED", "b", "99")]]);
    const { source } = follow(api);
    await until(() => names(source)?.[0] === "c");
    expect(api.asked.map(({ kind }) => kind).slice(0, 3)).toEqual(["list", "watch", "list"]);
  });

  it("stay known while the API server is away, and the trouble is told once with its end", async () => {
    const away = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    const api = new ScriptedApi([[podOf("a", "1")]], [[away], [event("ADDED", "b", "101")]]);
    const { source, told } = follow(api);
    await until(() => told.length > 0);
    expect(names(source)).toEqual(["a"]);
    expect(told).toEqual(["the API server cannot be reached: connect ECONNREFUSED"]);
    await until(() => names(source)?.length === 2);
    expect(told.at(-1)).toBeUndefined();
  });

  it("are listed anew after a silence, whose length doubles up to the relist's until a bookmark comes", async () => {
    const silent = [new Silence()];
    const watches = [silent, silent, [event("BOOKMARK", "", "150"), new Silence()], silent];
    const api = new ScriptedApi([[podOf("a", "1")], [podOf("b", "1")]], watches);
    const { source, told } = follow(api, config({ pollInterval: 200 }));
    await until(() => api.asked.length === 10);
    expect(names(source)).toEqual([]);
    expect(api.asked.map(({ kind }) => kind)).toEqual(Array(5).fill(["list", "watch"]).flat());
    const silences = api.asked.flatMap(({ silence }) => silence ?? []);
    expect(silences).toEqual([75_000, 150_000, 200_000, 150_000, 200_000]);
    expect(told).toEqual([]);
  });

  it("are known to be in step again when the watch is open, before anything happens", async () => {
    const api = new ScriptedApi([[podOf("a", "1")]], [[new ApiError(503, "busy", 0)]]);
    const { told } = follow(api);
    await until(() => told.length === 2);
    expect(told).toEqual(["the API server answers 503: busy", undefined]);
  });
});
