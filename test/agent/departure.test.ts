import { describe, expect, it } from "vitest";
import { type Api, ApiError } from "../../agent/api.ts";
import { departure, Permission } from "../../agent/departure.ts";

const home = { namespace: "kube-system", daemonSet: "dd-agent" };
const times = { patience: 300, refusal: 150, pause: 20 };
const { signal } = new AbortController();

/** An API server that answers questions for the DaemonSet like this, one after the other, and with the last one for ever. */
function api(...answers: (object | Error)[]): Api {
  let asked = 0;
  return {
    get: <T>(path: string) => {
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

describe("at the end the rules", () => {
  it.each([
    ["stay, because the DaemonSet does", [staying], true, false],
    [
      "go with a DaemonSet that is being deleted",
      [{ metadata: { deletionTimestamp: "2026-11-01T10:00:00Z" } }],
      true,
      true,
    ],
    ["go with a DaemonSet that is gone", [gone], true, true],
    ["go when the role that let us ask is gone", [refused(403)], true, true],
    ["go when the service account is gone", [refused(401)], true, true],
    ["stay when we never were allowed to ask", [refused(403)], false, false],
    ["stay when the API server fails", [refused(500)], true, false],
    ["stay when the API server does not answer", [new Error("connect ECONNREFUSED")], true, false],
    [
      "stay when the API server refuses for a moment, as one that starts",
      [refused(403), staying],
      true,
      false,
    ],
    ["stay when something else says that there is nothing", [refused(404)], true, false],
    ["go when the answer comes at the second attempt", [refused(429), gone], true, true],
  ])("%s", async (_what, answers, permitted, removed) => {
    expect((await departure(api(...answers), home, permitted, times)).removed).toBe(removed);
  });

  it("stay when there is no DaemonSet to ask for", async () => {
    expect((await departure(api(gone), undefined, true, times)).removed).toBe(false);
  });
});

describe("the permission to ask", () => {
  it("is asked for until it is there, and then remembered", async () => {
    const permission = new Permission(
      api(refused(403), new Error("reset"), gone, staying, refused(403)),
      home,
    );
    const answers: boolean[] = [];
    for (let time = 0; time < 5; time++) answers.push(await permission.ask(signal));
    expect(answers).toEqual([false, false, false, true, true]);
    expect(permission.granted).toBe(true);
  });

  it("is not asked for where there is no DaemonSet", async () => {
    const permission = new Permission(api(refused(403)), undefined);
    expect([await permission.ask(signal), permission.granted]).toEqual([true, false]);
  });
});
