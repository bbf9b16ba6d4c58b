import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { type Api, ApiError } from "../../agent/kubernetes/api.ts";
import { endStartup, removeTaint, startupTaint } from "../../agent/kubernetes/taint.ts";
import { AgentInNamespace, onePod, until } from "../kernel/agent-in-namespace.ts";

interface Taint {
  key: string;
  effect: string;
  value?: string;
}

const own = { key: startupTaint, effect: "NoSchedule" };
const other = { key: "example.com/other", effect: "NoExecute", value: "x" };
const forever = new AbortController().signal;

/** An API server with one node, which knows of patches what RFC 6902 says of these two. */
class NodeServer {
  patches: unknown[][] = [];
  /** Called before each patch. */
  meanwhile = () => {};

  constructor(public taints: Taint[] | undefined) {}

  readonly api: Api = {
    ...onePod,
    get: <T>(path: string, query = {}) =>
      path.startsWith("/api/v1/nodes/")
        ? Promise.resolve({ spec: { taints: this.taints } } as T)
        : onePod.get<T>(path, query),
    patch: (path, operations) => {
      expect(path).toBe("/api/v1/nodes/node-1");
      this.meanwhile();
      const [test, change] = operations as { op: string; value?: Taint[] }[];
      if (JSON.stringify(test?.value) !== JSON.stringify(this.taints))
        return Promise.reject(new ApiError(422, "the server rejected our request", 0));
      this.patches.push(operations);
      this.taints = change?.op === "remove" ? undefined : change?.value;
      return Promise.resolve();
    },
  };
}

describe("the startup taint of a node", () => {
  it.each([
    ["alone", [own], undefined],
    ["with any effect", [own, { ...own, effect: "NoExecute" }], undefined],
    ["among others, which stay", [other, own], [other]],
  ])("is removed: %s", async (_, taints, left) => {
    const server = new NodeServer(taints);
    expect(await removeTaint(server.api, "node-1", forever)).toBe(true);
    expect(server.taints).toEqual(left);
  });

  it.each([[undefined], [[other]]])("is not looked for twice: %j is left alone", async (taints) => {
    const server = new NodeServer(taints);
    expect(await removeTaint(server.api, "node-1", forever)).toBe(false);
    expect(server.patches).toEqual([]);
  });

  it("goes, and the taint that somebody else adds at that moment stays", async () => {
    const server = new NodeServer([own]);
    server.meanwhile = () => {
      server.taints = [own, other];
      server.meanwhile = () => {};
    };
    expect(await removeTaint(server.api, "node-1", forever)).toBe(true);
    expect(server.taints).toEqual([other]);
  });

  it("stays until the addresses work", async () => {
    const server = new NodeServer([own]);
    let ready = false;
    const parts = {
      api: server.api,
      nodeName: "node-1",
      isReady: () => ready,
      log: pino({ level: "silent" }),
    };
    const ended = endStartup(parts, forever);
    await delay(500);
    expect(server.taints).toEqual([own]);
    ready = true;
    await ended;
    expect(server.taints).toBeUndefined();
  });

  it("is tried again when the API server refuses, and said in the log", async () => {
    const server = new NodeServer([own]);
    let refusals = 0;
    const api: Api = {
      ...server.api,
      patch: (...args) => {
        if (refusals++ === 0) return Promise.reject(new ApiError(403, "nodes is forbidden", 0));
        return server.api.patch(...args);
      },
    };
    const lines: string[] = [];
    const log = pino({}, { write: (line: string) => lines.push(line) });
    await endStartup({ api, nodeName: "node-1", isReady: () => true, log }, forever);
    expect(server.taints).toBeUndefined();
    expect(lines.join("")).toContain(
      "could not be removed, pods are kept from it: the API server answers 403",
    );
  });
});

describe("the agent", () => {
  it.each([
    [true, undefined],
    [false, [own]],
  ])("with startupTaint %s leaves its node the taints %j", async (startup, left) => {
    const server = new NodeServer([own]);
    const given = { startupTaint: startup };
    const agent = await AgentInNamespace.start({ monitored: false, given, api: server.api });
    try {
      if (startup) await until(() => Promise.resolve(server.taints === undefined));
      expect(server.taints).toEqual(left);
    } finally {
      await agent.stop();
    }
  });
});
