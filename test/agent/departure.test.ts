import { describe, expect, it } from "vitest";
import { type Api, ApiError } from "../../agent/api.ts";
import { departure, mayAsk } from "../../agent/departure.ts";

const home = { namespace: "kube-system", daemonSet: "dd-agent" };

/** An API server that gives the same answer to every question for the DaemonSet. */
function api(answer: object | Error): Api {
  return {
    get: <T>(path: string) => {
      expect(path).toBe("/apis/apps/v1/namespaces/kube-system/daemonsets/dd-agent");
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer as T);
    },
    post: () => Promise.reject(new Error("nothing is posted at the end")),
    patch: () => Promise.reject(new Error("nothing is changed at the end")),
    watch: () => {
      throw new Error("nothing is watched at the end");
    },
  };
}

const refused = (status: number) => new ApiError(status, "no", 0);

describe("at the end the rules", () => {
  it.each([
    ["stay, because the DaemonSet does", { metadata: {} }, true, false],
    [
      "go with a DaemonSet that is being deleted",
      { metadata: { deletionTimestamp: "2026-11-01T10:00:00Z" } },
      true,
      true,
    ],
    ["go with a DaemonSet that is gone", refused(404), true, true],
    ["go when the role that let us ask is gone", refused(403), true, true],
    ["go when the service account is gone", refused(401), true, true],
    ["stay when we never were allowed to ask", refused(403), false, false],
    ["stay when the API server fails", refused(500), true, false],
    ["stay when the API server does not answer", new Error("connect ECONNREFUSED"), true, false],
  ])("%s", async (_what, answer, permitted, removed) => {
    expect((await departure(api(answer), home, permitted)).removed).toBe(removed);
  });

  it("stay when there is no DaemonSet to ask for", async () => {
    expect((await departure(api(refused(404)), undefined, true)).removed).toBe(false);
  });
});

it("a refusal at the start is remembered as not being allowed to ask", async () => {
  const { signal } = new AbortController();
  expect(await mayAsk(api(refused(403)), home, signal)).toBe(false);
  expect(await mayAsk(api({ metadata: {} }), home, signal)).toBe(true);
});
