import { afterAll, beforeAll, expect, it } from "vitest";
import { magicIp, pause, ready, Stage, takes } from "./stage.ts";

const daemonSets = "/apis/apps/v1/namespaces/stage/daemonsets";
const configMaps = "/api/v1/namespaces/stage/configmaps";

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.create();
  await stage.node.addPod("client");
});
afterAll(() => stage?.remove());

/** Calls every 100 ms, whatever becomes of the calls before, until it is told to end. */
function calling(): { end(): Promise<{ ok: boolean }[]> } {
  const calls: Promise<{ ok: boolean }>[] = [];
  const timer = setInterval(() => {
    const call = stage.node.call("client", "tcp", magicIp, 80);
    calls.push(
      call.then(
        ({ pod }) => ({ ok: pod === "a" }),
        () => ({ ok: false }),
      ),
    );
  }, 100);
  return {
    end: () => {
      clearInterval(timer);
      return Promise.all(calls);
    },
  };
}

it("an installation of another name takes over when the old one goes, while clients call (S9)", async () => {
  const a = await stage.host("a");
  await stage.addPod("a", { ips: [a] });
  await stage.daemonSet(true);
  await stage.plane.send("POST", configMaps, { metadata: { name: "stage" }, data: { daemonSet: "agent" } });
  const env = { POD_NAMESPACE: "stage", DAEMONSET_NAME: "agent", INSTALLATION_NAME: "stage" };
  const old = await stage.startAgent({}, { env });
  await ready(old);

  // What Pulumi does of a component that has another name: the new agents come first.
  const renamed = await stage.startAgent({ instance: "renamed" }, { healthPort: 61001 });
  await takes("the conflict", 30, async () =>
    (await renamed.readiness())?.problems.some(({ code }) => code === "CONFLICT"),
  );
  expect((await renamed.readiness())?.ready).toBe(false);

  const calls = calling();
  // It looks every 4 s, and knows after two looks at its own table that nobody flushes it.
  await pause(5_000);
  await stage.plane.send("DELETE", `${daemonSets}/agent`);
  await stage.plane.send("DELETE", `${configMaps}/stage`);
  await old.stop();
  await ready(renamed, true, 60);
  await pause(3_000);
  const all = await calls.end();
  expect(old.log.at(-1)?.msg).toMatch(/the installation is removed/);
  expect(all.length).toBeGreaterThan(50);
  // The end of the old table makes the new agent look at once; its next look of its own is up to 4 s away: 40 calls.
  const lost = all.filter(({ ok }) => !ok).length;
  expect(lost).toBeLessThan(20);
}, 180_000);
