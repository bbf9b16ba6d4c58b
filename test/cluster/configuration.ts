import { afterAll, beforeAll, describe, expect, it } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { type AgentPod, killPod } from "./agent-pods.ts";
import { isLong } from "../support/long.ts";
import { callers } from "./callers.ts";
import { type Calling, keepCalling } from "./calling.ts";
import type { Cluster } from "./cluster.ts";
import { until } from "./patience.ts";
import { Release } from "./release.ts";

const magicIp = "169.254.210.215";
const onDelete = { updateStrategy: { type: "OnDelete", rollingUpdate: null } };
/** An image that no node has: its pods cannot start, and the rollout stops at the first node. */
const stalling = { image: { tag: "absent", pullPolicy: "Never" } };

/** Milliseconds for a test: half a minute for two rollouts, on a busy machine several times that. */
const patience = 180_000;

/**
 * Each pod carries its configuration: it can start as long as it exists, whatever was installed since, and every node answers
 * all the time. The namespace has the targets (app=echo) and the clients.
 */
export function configurationTests(theCluster: () => Cluster, namespace: string): void {
  describe("a configuration that travels with its pod", () => {
    let scene: Scene;
    beforeAll(async () => {
      scene = new Scene(theCluster(), namespace);
      await scene.release.install();
      await scene.callFromEverywhere();
    });
    afterAll(() => scene.end());

    it(
      "lets kubectl rollout undo end a rollout that is stuck at one node",
      () => undoStuckRollout(scene),
      patience,
    );
    if (!isLong) return;
    it(
      "stays with OnDelete while kubelet and pod are killed and start again, until the pod is deleted",
      () => restartWithOnDelete(scene),
      patience,
    );
    it("comes back with helm rollback", () => rollBack(scene), patience);
    it(
      "is nothing that a sync prunes, as Argo CD does: pods of before start again",
      () => prune(scene),
      patience,
    );
  });
}

async function undoStuckRollout(scene: Scene): Promise<void> {
  const { release } = scene;
  const before = await release.pods();
  await release.begin({ ...scene.changed("a"), ...stalling });
  await until({ what: "a pod that cannot start", seconds: 40 }, async () =>
    (await release.pods()).some(({ waiting }) => waiting === "ErrImageNeverPull"),
  );
  await release.rollout("undo");
  await release.rolledOut();
  const after = await release.pods();
  expect(after.map(({ config }) => config)).toEqual(before.map(({ config }) => config));
  expect(after.every(({ ready }) => ready)).toBe(true);
  await scene.lostNothing();
}

async function restartWithOnDelete(scene: Scene): Promise<void> {
  const { release } = scene;
  await release.begin(onDelete);
  const [first] = await release.pods();
  await release.begin({ ...scene.changed("b"), ...onDelete });
  await scene.restarts(first);
  await release.cluster.kubectl(["delete", "pod", "-n", "kube-system", first?.name ?? ""]);
  const next = await until({ what: "the next pod", seconds: 40 }, async () =>
    (await release.pods()).find(({ node, uid, ready }) => ready && node === first?.node && uid !== first.uid),
  );
  expect(next.config).toContain('"app=b"');
  await scene.lostNothing();
}

async function rollBack(scene: Scene): Promise<void> {
  const { release } = scene;
  await release.install(scene.changed("c"));
  expect((await release.pods()).every(({ config }) => config.includes('"app=c"'))).toBe(true);
  await release.rollback(1);
  const pods = await release.pods();
  expect(pods.filter(({ config }) => config.includes('"app=c"'))).toEqual([]);
  expect(pods.every(({ ready }) => ready)).toBe(true);
  await scene.lostNothing();
}

async function prune(scene: Scene): Promise<void> {
  const { release } = scene;
  await release.sync();
  await release.rolledOut();
  await release.sync({ ...scene.changed("d"), ...onDelete });
  const [first] = await release.pods();
  expect(first?.config).not.toContain('"app=d"');
  await scene.restarts(first);
  await scene.lostNothing();
}

/** A release with one address, which every client calls all the time. */
class Scene {
  readonly release: Release;
  #calls: Calling[] = [];

  constructor(
    readonly cluster: Cluster,
    readonly namespace: string,
  ) {
    const image = { tag: packageJson.version, pullPolicy: "Never" };
    this.release = new Release(cluster, "carried", { addresses: this.#addresses(), image });
  }

  #addresses() {
    const ports = ["TCP", "UDP"].map((protocol) => ({ port: 80, targetPort: 8080, protocol }));
    return [{ ipAddress: magicIp, namespace: this.namespace, selector: "app=echo", ports }];
  }

  /** Values with one more address, whose selector tells one change from another. */
  changed(app: string) {
    const place = { ipAddress: "169.254.210.216", namespace: this.namespace, ports: [{ port: 80 }] };
    return { addresses: [...this.#addresses(), { ...place, selector: `app=${app}` }] };
  }

  /** Kubelet and pod are killed: the same pod is ready again, with what it was made with. */
  async restarts(pod: AgentPod | undefined): Promise<void> {
    if (pod === undefined) throw new Error("there is no pod of an agent");
    await killPod(this.cluster, pod);
    const again = await until({ what: `${pod.name} to be ready again`, seconds: 40 }, async () =>
      (await this.release.pods()).find(
        ({ uid, starts, ready }) => uid === pod.uid && starts > pod.starts && ready,
      ),
    );
    expect(again.config).toBe(pod.config);
  }

  /** From every client, by both transports, fifty times a second until `lostNothing`. */
  async callFromEverywhere(): Promise<void> {
    const all = await callers(this.cluster, this.namespace);
    this.#calls = all.flatMap(({ node: name, pod }) => {
      const node = this.cluster.nodes.find((each) => each.name === name);
      if (node === undefined) throw new Error(`the cluster has no node ${name}`);
      const client = { namespace: this.namespace, name: pod };
      return (["tcp", "udp"] as const).map((by) => keepCalling(node, client, by, magicIp, 80, 20));
    });
  }

  /** No call failed since the last time; they go on. */
  async lostNothing(): Promise<void> {
    const ended = await Promise.all(this.#calls.map((calling) => calling.end()));
    await this.callFromEverywhere();
    for (const calls of ended) {
      expect(calls.filter(({ error }) => error !== undefined)).toEqual([]);
      expect(calls.length).toBeGreaterThan(100);
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#calls.map((calling) => calling.end()));
    await this.release.uninstall();
  }
}
