import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { type Api, ApiError } from "../../agent/kubernetes/api.ts";
import { departure } from "../../agent/kubernetes/departure.ts";
import { Installation } from "../../agent/kubernetes/installation.ts";

const home = { namespace: "kube-system", daemonSet: "dd-agent" };
const times = { patience: 300, pause: 20 };

/** An API server that answers questions for the DaemonSet like this, one after the other, and with the last one for ever. */
function api(...answers: (object | Error)[]): Api {
  let asked = 0;
  return {
    get: <T>(path: string) => {
      if (path === "/api/v1/namespaces/kube-system") return Promise.resolve({ metadata: {} } as T);
      expect(path).toBe("/apis/apps/v1/namespaces/kube-system/daemonsets/dd-agent");
      const answer = answers[Math.min(asked++, answers.length - 1)];
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer as T);
    },
    post: () => Promise.reject(new Error("nothing is posted at the end")),
    patch: () => Promise.reject(new Error("nothing is changed at the end")),
    watch: () => {
      throw new Error("nothing is watched at the end");
    },
  };
}

const refused = (status: number, reason?: string) => new ApiError(status, "no", 0, reason);
const gone = refused(404, "NotFound");
const staying = { metadata: {} };

const deleting = { metadata: { deletionTimestamp: "2026-11-01T10:00:00Z" } };

describe("at the end the rules", () => {
  it.each([
    ["stay, because the DaemonSet does", [staying], false],
    ["go with a DaemonSet that is being deleted", [deleting], true],
    ["go with a DaemonSet that is gone", [gone], true],
    ["stay when the agent may not ask", [refused(403)], false],
    ["stay when the agent's token has ended", [refused(401)], false],
    ["stay when the API server fails", [refused(500)], false],
    ["stay when the API server does not answer", [new Error("connect ECONNREFUSED")], false],
    ["stay when something else says that there is nothing", [refused(404)], false],
    ["stay when the answer comes at the second attempt", [refused(403), staying], false],
    ["go when the answer comes at the second attempt", [refused(429), gone], true],
  ])("%s", async (_what, answers, removed) => {
    const installation = new Installation(api(...answers), home);
    expect((await departure(api(...answers), installation, times)).removed).toBe(removed);
  });

  it("stay when there is no DaemonSet to ask for", async () => {
    const installation = new Installation(api(gone), undefined);
    expect((await departure(api(gone), installation, times)).removed).toBe(false);
  });

  const ours = { metadata: { uid: "ours" } };
  const another = { metadata: { uid: "another" } };

  it.each([
    ["stay although the ConfigMap is gone, when the DaemonSet is still ours", [ours], false],
    [
      "go with the ConfigMap, when another installation has a DaemonSet of the same name by now",
      [another],
      true,
    ],
    ["go with the ConfigMap, when nobody may ask", [refused(401)], true],
    ["stay when the ConfigMap goes, is there again", [refused(401)], false],
  ])("%s", async (what, answers, removed) => {
    const installation = new Installation(api(...answers), home);
    installation.uid = "ours";
    installation.word = what.endsWith("again")
      ? { kind: "there", daemonSet: "dd-agent" }
      : { kind: "gone", at: performance.now() };
    expect((await departure(api(...answers), installation, times)).removed).toBe(removed);
  });

  it("stay when the ConfigMap was taken away minutes ago and the installation went on", async () => {
    const installation = new Installation(api(refused(401)), home);
    installation.word = { kind: "gone", at: performance.now() - 121_000 };
    expect((await departure(api(refused(401)), installation, times)).removed).toBe(false);
  });

  it("go with the namespace, whose pods go before its DaemonSets", async () => {
    const going = api(staying);
    const get: Api["get"] = (path, ...rest) =>
      path === "/api/v1/namespaces/kube-system"
        ? Promise.resolve(deleting as never)
        : going.get(path, ...rest);
    const installation = new Installation(going, home);
    expect(await departure({ ...going, get }, installation, times)).toEqual({
      removed: true,
      reason: "its namespace is being deleted",
    });
  });

  it("go when the word of the ConfigMap's end comes while the agent asks and is refused", async () => {
    const installation = new Installation(api(refused(403)), home);
    const asking = departure(api(refused(403)), installation, times);
    await delay(50);
    installation.word = { kind: "gone", at: performance.now() };
    expect((await asking).removed).toBe(true);
  });
});

it.each([0, 50, 130, 260])(
  "rules stay for a DaemonSet that comes back after 60 ms, beside its ConfigMap, where each answer takes %i ms",
  async (slow) => {
    const began = performance.now();
    const server: Api = {
      ...api(staying),
      get: async <T>(path: string) => {
        const isBack = performance.now() - began > 60;
        await delay(slow);
        if (path.includes("daemonsets") && !isBack) throw gone;
        return { metadata: { resourceVersion: "1" }, data: { daemonSet: "dd-agent" } } as T;
      },
    };
    const installation = new Installation(server, { ...home, installation: "dd" });
    installation.word = { kind: "there", daemonSet: "dd-agent" };
    expect((await departure(server, installation, { patience: 300, pause: 50 })).removed).toBe(false);
  },
);

/** Answers of an API server that knows the ConfigMap for as long as it answers at all. */
function withLease(daemonSetAnswers: (object | Error)[], slow = 0): Api {
  let asked = 0;
  return {
    ...api(staying),
    get: async <T>(path: string) => {
      await delay(slow);
      const answer = daemonSetAnswers[Math.min(asked, daemonSetAnswers.length - 1)];
      if (path.includes("daemonsets")) asked++;
      if (answer instanceof Error && (path.includes("daemonsets") || answer !== gone)) throw answer;
      return (path.includes("daemonsets") ? answer : { data: { daemonSet: "dd-agent" } }) as T;
    },
  };
}

it.each([
  ["go when the DaemonSet is missing, and then nobody may ask", [gone, refused(403)], 0, true],
  ["go when it was missing at last, and then nobody may ask", [gone, gone, gone, refused(401)], 0, true],
  ["go when it is missing, in answers that take a third of the patience", [gone], 110, true],
  ["stay when it was missing once, and then nobody answers", [gone, new Error("reset")], 0, false],
])("rules %s, while the ConfigMap says that it serves", async (_what, answers, slow, removed) => {
  const server = withLease(answers, slow);
  const installation = new Installation(server, { ...home, installation: "dd" });
  installation.word = { kind: "there", daemonSet: "dd-agent" };
  expect((await departure(server, installation, { patience: 300, pause: 50 })).removed).toBe(removed);
});

it("rules stay when the ConfigMap went and the DaemonSet is ours, although the next answer does not come", async () => {
  const server = api({ metadata: { uid: "ours" } }, new Error("timed out"));
  const installation = new Installation(server, home);
  installation.uid = "ours";
  installation.word = { kind: "gone", at: performance.now() };
  expect((await departure(server, installation, times)).removed).toBe(false);
});

it("the ConfigMap's watch is opened again within a second each time that something in between cuts it", async () => {
  let opened = 0;
  const cutting: Api = {
    ...api(staying),
    get: <T>() => Promise.resolve({ metadata: { uid: "ours", resourceVersion: "1" }, spec: {} } as T),
    watch: () => {
      opened++;

      return Promise.resolve(
        (async function* () {
          throw new Error("socket hang up");
        })(),
      );
    },
  };
  const ending = new AbortController();
  const following = new Installation(cutting, { ...home, installation: "dd" }).run(ending.signal);
  await delay(6_000);
  ending.abort();
  await following;
  expect(opened).toBeGreaterThan(3);
  // And ever more seldom where that happens each time.
  expect(opened).toBeLessThan(7);
});

it.each([
  [401, 75],
  [403, 750],
])(
  "the ConfigMap is watched again soon after refusals (%i) of 20 minutes: within %i s",
  async (status, seconds) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    try {
      let refuses = false;
      let opened = 0;
      const answer = <T>(value: T) => (refuses ? Promise.reject(refused(status)) : Promise.resolve(value));
      const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
      const server: Api = {
        ...api(staying),
        get: <T>() => answer({ metadata: { uid: "ours", resourceVersion: "1" }, spec: {} } as T),
        watch: <T>() =>
          answer(
            (async function* (): AsyncGenerator<T> {
              opened = performance.now();
              while (!refuses) await pause(100);
              throw new Error("cut");
            })(),
          ),
      };
      const ending = new AbortController();
      void new Installation(server, { ...home, installation: "dd" }, pause).run(ending.signal);
      await vi.advanceTimersByTimeAsync(5_000);
      refuses = true;
      await vi.advanceTimersByTimeAsync(1_200_000);
      refuses = false;
      opened = 0;
      const began = performance.now();
      await vi.advanceTimersByTimeAsync(1_200_000);
      ending.abort();
      expect(opened).toBeGreaterThan(0);
      expect((opened - began) / 1_000).toBeLessThan(seconds);
    } finally {
      vi.useRealTimers();
    }
  },
);
