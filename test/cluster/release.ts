import { execa } from "execa";
import { helmPath } from "../support/tools.ts";
import { type AgentPod, agentPods } from "./agent-pods.ts";
import type { Cluster } from "./cluster.ts";

const chart = new URL("../../component/chart", import.meta.url).pathname;

/** A release of the chart in kube-system, by Helm or by kubectl. */
export class Release {
  readonly daemonSet: string;

  /** `values` are those that every command has, unless it says otherwise. */
  constructor(
    readonly cluster: Cluster,
    readonly name: string,
    private readonly values: object,
  ) {
    this.daemonSet = `daemonset/${name}-magic-ip-address`;
  }

  /** Installs or upgrades, and waits until every node has the new configuration. */
  async install(values: object = {}): Promise<void> {
    await this.begin(values);
    await this.rolledOut();
  }

  /** Installs or upgrades, and waits for nothing. */
  async begin(values: object): Promise<void> {
    // Helm 4 applies in the server: the fields that `kubectl rollout undo` changed are kubectl's until it takes them back.
    const upgrade = ["upgrade", "--install", "--force-conflicts", this.name, chart, "-f", "-"];
    await this.#helm(upgrade, values);
  }

  /** Goes back to a revision, and waits until every node has it. */
  async rollback(revision: number): Promise<void> {
    await this.#helm(["rollback", this.name, String(revision), "--force-conflicts"]);
    await this.rolledOut();
  }

  async uninstall(): Promise<void> {
    await this.#helm(["uninstall", this.name, "--ignore-not-found", "--wait"]);
  }

  /** Applies what is rendered and deletes at once what no longer is, as Argo CD does; nothing waits. */
  async sync(values: object = {}): Promise<void> {
    const text = await this.#helm(["template", this.name, chart, "--skip-tests", "-f", "-"], values);
    const prune = `--prune -l app.kubernetes.io/instance=${this.name}`;
    await this.cluster.kubectl(`apply ${prune} -f -`.split(" "), { input: text });
  }

  /** Waits as `kubectl rollout status` does. */
  async rolledOut(): Promise<void> {
    await this.rollout("status", "--timeout=120s");
  }

  async rollout(command: "status" | "undo", ...flags: string[]): Promise<void> {
    await this.cluster.kubectl(["rollout", command, "-n", "kube-system", this.daemonSet, ...flags]);
  }

  pods(): Promise<AgentPod[]> {
    return agentPods(this.cluster, this.name);
  }

  async #helm(args: string[], values: object = {}): Promise<string> {
    const input = JSON.stringify({ ...this.values, ...values });
    const env = { KUBECONFIG: this.cluster.kubeconfig };
    return (await execa(await helmPath(), [...args, "-n", "kube-system"], { env, input })).stdout;
  }
}
