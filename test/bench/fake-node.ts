import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import type { Cluster } from "../cluster/cluster.ts";

/** A node without a kubelet, in a namespace of its own: its pods are what the benchmark says they are. */
export class FakeNode {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 });
  readonly #server: string;
  readonly #ca: Buffer;
  readonly #token: string;

  private constructor(
    readonly cluster: Cluster,
    readonly name: string,
    readonly namespace: string,
  ) {
    const { clusters, users } = JSON.parse(readFileSync(cluster.kubeconfig, "utf8"));
    this.#server = clusters[0].cluster.server;
    this.#ca = Buffer.from(clusters[0].cluster["certificate-authority-data"], "base64");
    this.#token = users[0].user.token;
  }

  static async create(cluster: Cluster, name: string): Promise<FakeNode> {
    const node = new FakeNode(cluster, name, `magic-ip-${name}`);
    const taint = { key: "magic-ip-bench", effect: "NoExecute" };
    await node.#send("POST", "/api/v1/namespaces", { metadata: { name: node.namespace } });
    await node.#send("POST", "/api/v1/nodes", { metadata: { name }, spec: { taints: [taint] } });
    return node;
  }

  /** A pod that is ready. */
  async addPod(name: string, labels: Record<string, string>, ip: string): Promise<void> {
    await this.createPod(name, labels);
    await this.setIp(name, ip);
  }

  /** A pod that no kubelet has seen yet. */
  async createPod(name: string, labels: Record<string, string>): Promise<void> {
    const spec = {
      nodeName: this.name,
      containers: [{ name: "c", image: "none" }],
      tolerations: [{ operator: "Exists" }],
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
    };
    await this.#send("POST", this.#pods(), { metadata: { name, labels }, spec });
  }

  /** A pod that runs. */
  async setIp(name: string, podIP: string, ready = true): Promise<void> {
    const conditions = [{ type: "Ready", status: ready ? "True" : "False" }];
    const status = { phase: "Running", podIP, podIPs: [{ ip: podIP }], conditions };
    await this.#send("PATCH", `${this.#pods()}/${name}/status`, { status });
  }

  async deletePod(name: string): Promise<void> {
    await this.#send("DELETE", `${this.#pods()}/${name}`, { gracePeriodSeconds: 0 });
  }

  async remove(): Promise<void> {
    await this.#send("DELETE", `/api/v1/nodes/${this.name}`);
    await this.#send("DELETE", `/api/v1/namespaces/${this.namespace}`);
    this.#agent.destroy();
  }

  #pods(): string {
    return `/api/v1/namespaces/${this.namespace}/pods`;
  }

  /** Without kubectl, which takes more of the processor than what is measured. */
  #send(method: string, path: string, object?: object): Promise<void> {
    const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
    const body = object === undefined ? "" : JSON.stringify(object);
    const headers = {
      authorization: `Bearer ${this.#token}`,
      "content-type": type,
      // Node.js says no length of a DELETE's body by itself.
      "content-length": Buffer.byteLength(body),
    };
    const url = new URL(path, this.#server);
    return new Promise((resolve, reject) => {
      const call = request(url, { method, headers, ca: this.#ca, agent: this.#agent });
      call.on("error", reject).on("response", (response) => {
        const { statusCode = 0 } = response;
        const failed = () => reject(new Error(`${method} ${path} was answered with ${statusCode}`));
        response.resume().on("end", statusCode < 300 ? resolve : failed);
      });
      call.end(body);
    });
  }
}
