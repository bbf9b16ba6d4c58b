import { connectApi } from "../../agent/kubernetes/api.ts";
import { podShape } from "../../agent/kubernetes/pod.ts";
import type { Cluster } from "./cluster.ts";

/** When a pod's readiness was seen in the API. */
export interface ReadyPod {
  name: string;
  uid: string;
  node: string;
  at: number;
}

interface PodEvent {
  type: string;
  object: {
    metadata: { name: string; uid: string };
    spec: { nodeName?: string };
    status: { conditions?: { type: string; status: string }[] };
  };
}

/** Milliseconds in which something happens to some pod, in every test and benchmark. */
const longest = 600_000;

/** A watch of its own on the API server: it sees a pod become ready when the agents can. */
export class PodEvents {
  #ready = new Map<string, ReadyPod>();
  #stopping = new AbortController();

  static async watch(cluster: Cluster, namespace: string, labelSelector: string): Promise<PodEvents> {
    process.env.KUBECONFIG = cluster.kubeconfig;
    const events = new PodEvents();
    void events.#follow(`/api/v1/namespaces/${namespace}/pods`, labelSelector);
    return events;
  }

  /** The pod on the node that is ready and has another uid. */
  async nextReady(node: string, notUid: string): Promise<ReadyPod> {
    for (let waited = 0; waited < 60_000; waited += 10) {
      const found = [...this.#ready.values()].findLast(
        (pod) => pod.node === node && pod.uid !== notUid && pod.at > this.#seen(notUid),
      );
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`no other pod became ready on ${node} within 60 s`);
  }

  stop(): void {
    this.#stopping.abort();
  }

  #seen(uid: string): number {
    return this.#ready.get(uid)?.at ?? 0;
  }

  async #follow(path: string, labelSelector: string): Promise<void> {
    try {
      const until = { signal: this.#stopping.signal, silence: longest };
      const shape = { fields: { type: "text" as const, object: podShape([]) } };
      for await (const event of await connectApi().watch<PodEvent>(path, { labelSelector }, until, shape))
        this.#take(event);
    } catch (error) {
      if (!this.#stopping.signal.aborted) throw error;
    }
  }

  #take({ object: { metadata, spec, status } }: PodEvent): void {
    const ready =
      status.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
    if (!ready || this.#ready.has(metadata.uid)) return;
    this.#ready.set(metadata.uid, {
      name: metadata.name,
      uid: metadata.uid,
      node: spec.nodeName ?? "",
      at: Date.now(),
    });
  }
}
